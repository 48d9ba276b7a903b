"""The arguments of a command, read from the signature of the function that answers it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct, defstruct

CONTEXT = "context"
"""Parameter that gets the `Context`."""


class NoArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command that takes none."""


class Passing(Enum):
    """How a function takes its arguments."""

    STRUCT = "struct"  # as one struct
    NAMED = "named"  # each by its name
    OPEN = "open"  # whatever there is, as one dictionary


ArgumentsType = type[Struct] | type[dict]  # type: ignore[type-arg]


class Signature(Struct, frozen=True):
    """What a function wants.

    Attributes:
        arguments: type that a command's arguments are checked against.
        passing: how they are given to the function.
        wants_context: whether it gets the context first, or by that name.
    """

    arguments: ArgumentsType
    passing: Passing
    wants_context: bool


def read_signature(
    name: str, function: Callable[..., Any], arguments: ArgumentsType | None
) -> Signature:
    """Tell how a function is to be called.

    One parameter that is a `msgspec.Struct` gets all arguments as that; otherwise each parameter is
    an argument, of the type that it is annotated with and with the default that it has.

    Args:
        name: of the command.
        function: which answers it.
        arguments: their type, when the function does not say; `dict` for whatever comes.

    Raises:
        TypeError: the function cannot be called with arguments by name.
    """
    parameters = dict(inspect.signature(function).parameters)
    wants_context = parameters.pop(CONTEXT, None) is not None
    if arguments is not None:
        passing = Passing.OPEN if issubclass(arguments, dict) else Passing.STRUCT
        return Signature(arguments, passing, wants_context)
    if len(parameters) == 1:
        [only] = parameters.values()
        if only.name.startswith("_") and only.annotation is only.empty:
            return Signature(NoArguments, Passing.STRUCT, wants_context)
    types = _types(name, function, parameters)
    if len(parameters) == 1:
        [wanted] = types.values()
        if isinstance(wanted, type) and issubclass(wanted, Struct):
            return Signature(wanted, Passing.STRUCT, wants_context)
    made = defstruct(
        f"{name} arguments",
        [_field(name, parameter, types) for parameter in parameters.values()],
        forbid_unknown_fields=True,
        kw_only=True,
    )
    msgspec.json.schema(made)  # a type that cannot be checked against is found now
    return Signature(made, Passing.NAMED, wants_context)


def _types(
    name: str, function: Callable[..., Any], parameters: dict[str, inspect.Parameter]
) -> dict[str, Any]:
    """Evaluate the annotations of the parameters, and of these only."""
    written = {
        key: parameter.annotation if parameter.annotation is not parameter.empty else Any
        for key, parameter in parameters.items()
    }
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(
            SimpleNamespace(__annotations__=written), globalns=scope, include_extras=True
        )
    except NameError as error:
        raise TypeError(
            f"{name}: the types of its arguments are not known at the top of its module: {error}"
        ) from error


def _field(name: str, parameter: inspect.Parameter, types: dict[str, Any]) -> Any:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"{name}: {parameter}: arguments of a command have names, one each")
    if parameter.default is parameter.empty:
        return (parameter.name, types[parameter.name])
    return (parameter.name, types[parameter.name], parameter.default)
