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
_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
        wants_context: whether it gets the context too, by its name unless it `leads`.
        leads: whether the context is the first of its parameters.
    """

    arguments: ArgumentsType
    passing: Passing
    wants_context: bool
    leads: bool


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
    signature = inspect.signature(function)
    parameters = dict(signature.parameters)
    leads = next(iter(parameters), "") == CONTEXT
    found = parameters.get(CONTEXT)
    wants_context = found is not None and found.kind not in _MANY
    if wants_context:
        del parameters[CONTEXT]
    passing, wanted = _passing(name, function, parameters, arguments)
    _check_call(name, signature, passing, wants_context, leads)
    return Signature(wanted, passing, wants_context, leads)


def _passing(
    name: str,
    function: Callable[..., Any],
    parameters: dict[str, inspect.Parameter],
    arguments: ArgumentsType | None,
) -> tuple[Passing, ArgumentsType]:
    """Tell how the arguments are passed, and what they are checked against."""
    if arguments is not None:
        return (Passing.OPEN if issubclass(arguments, dict) else Passing.STRUCT), arguments
    if len(parameters) == 1:
        [only] = parameters.values()
        if only.name.startswith("_") and only.annotation is only.empty:
            return Passing.STRUCT, NoArguments
    types = _types(name, function, parameters)
    if len(parameters) == 1:
        [wanted] = types.values()
        if isinstance(wanted, type) and issubclass(wanted, Struct):
            return Passing.STRUCT, wanted
    fields = [_field(name, parameter, types) for parameter in parameters.values()]
    return Passing.NAMED, _made_struct(name, fields)


def _made_struct(name: str, fields: list[Any]) -> type[Struct]:
    try:
        made = defstruct(f"{name} arguments", fields, forbid_unknown_fields=True, kw_only=True)
        msgspec.json.schema(made)  # a type that cannot be checked against is found now
    except TypeError as error:
        raise TypeError(f"{name}: its arguments cannot be checked: {error}") from error
    return made


def _check_call(
    name: str, signature: inspect.Signature, passing: Passing, wants_context: bool, leads: bool
) -> None:
    """See that the function can be called as `Entry.bind` will do it."""
    named = {CONTEXT: None} if wants_context else {}
    try:
        if passing is Passing.NAMED:
            signature.bind(**dict.fromkeys(signature.parameters))
        elif wants_context and leads:
            signature.bind(None, None)
        else:
            signature.bind(None, **named)
    except TypeError as error:
        raise TypeError(f"{name}: it cannot be called with its arguments: {error}") from error


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
