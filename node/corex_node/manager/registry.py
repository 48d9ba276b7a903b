"""The commands that a node knows, by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from corex_node.manager.signatures import (
    ArgumentsType,
    NoArguments,
    Passing,
    read_signature,
)
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError, CorexError

__all__ = ["Entry", "Kind", "NoArguments", "Program", "Registry", "TakenNameError"]

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD = re.compile(r"(?:missing required|unknown) field `([^`]*)`")
_NONE = NoArguments()


class Kind(Enum):
    """How a command is run."""

    PROGRAM = "program"  # the function returns the `Program` to run
    INLINE = "inline"  # plain function that never waits: called on the event loop
    THREAD = "thread"  # plain function that may wait: called in a thread
    ASYNC = "async"  # coroutine function
    FACTORY = "factory"  # the function makes the execution, see `executions.Factory`


class Program(Struct, frozen=True):
    """A program to run for a job, and what it reads (None for nothing)."""

    spec: ProgramSpec
    stdin: bytes | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One command.

    Attributes:
        name: as on the wire.
        kind: how it is run.
        arguments: struct that its arguments are checked against; `dict` for whatever comes.
        function: called with the arguments.
        passing: how it takes them.
        wants_context: whether it gets a `Context` too.
        repeatable: running it twice cannot be told from running it once, so that the agent need
            not remember that it ran.
        private: its messages go to its own stream, never to the node's log.
        leads: whether the context is the first of its parameters.
    """

    name: str
    kind: Kind
    arguments: ArgumentsType
    function: Function
    passing: Passing = Passing.STRUCT
    wants_context: bool = False
    repeatable: bool = False
    private: bool = False
    leads: bool = True

    def parse(self, arguments: dict[str, Any] | None) -> Any:
        """Check arguments.

        Raises:
            BadRequestError: one is wrong, missing or unknown; the error names it.
        """
        if not arguments and self.arguments is NoArguments:
            return _NONE
        if self.passing is Passing.OPEN:
            return arguments or {}
        try:
            return msgspec.convert(arguments or {}, self.arguments)
        except msgspec.ValidationError as error:
            raise BadRequestError(_named(str(error))) from error

    def bind(self, arguments: Any, context: object) -> Callable[[], Any]:
        """Make the call of the function.

        Args:
            arguments: as `parse` returned them.
            context: given to the function if it wants one.
        """
        if self.passing is Passing.NAMED:
            named = {name: getattr(arguments, name) for name in arguments.__struct_fields__}
            if self.wants_context:
                named["context"] = context
            return partial(self.function, **named)
        if self.wants_context and self.leads:
            return partial(self.function, context, arguments)
        if self.wants_context:
            return partial(self.function, arguments, context=context)
        return partial(self.function, arguments)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        if self.passing is Passing.OPEN:
            return {"type": "object"}
        return msgspec.json.schema(self.arguments)


def _is_coroutine_function(function: Function) -> bool:
    """Whether calling it makes a coroutine; an object that is called may too."""
    call = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _named(text: str) -> str:
    """Put the name of the argument first in a message of msgspec."""
    path, field = _PATH.search(text), _FIELD.search(text)
    name = ".".join(part for part in (path and path[1], field and field[1]) if part)
    text = _PATH.sub("", text).replace("Object contains", "the arguments contain")
    text = text.replace("Object missing", "the arguments are missing")
    return f"{name}: {text}" if name else text


class TakenNameError(CorexError):
    """A command of that name is registered already."""


class Registry:
    """Commands by name; each manager has its own."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: dict[str, Entry] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is such a command."""
        return name in self._entries

    def get(self, name: str) -> Entry | None:
        """Find a command."""
        return self._entries.get(name)

    def names(self) -> list[str]:
        """List all names in order."""
        return sorted(self._entries)

    def include(self, other: Registry) -> None:
        """Add all commands of another registry.

        Raises:
            TakenNameError: a name is taken; nothing was added.
        """
        for name in other._entries:
            self._check_free(name)
        self._entries.update(other._entries)

    def program(
        self, name: str, arguments: ArgumentsType | None = None
    ) -> Callable[[Callable[..., Program]], Callable[..., Program]]:
        """Register, as a decorator, a function that tells which program to run.

        Raises:
            TakenNameError: the name is taken.
            TypeError: see `command`.
        """

        def register(function: Callable[..., Program]) -> Callable[..., Program]:
            self._add(name, Kind.PROGRAM, function, arguments)
            return function

        return register

    def factory(self, name: str, arguments: ArgumentsType | None = None) -> Callable[[F], F]:
        """Register, as a decorator, a function that makes what runs for a job.

        It gets a `Job` and the `Surroundings` (see `executions.Factory`), not the arguments; those
        are checked all the same.

        Raises:
            TakenNameError: the name is taken.
        """

        def register(function: F) -> F:
            self._check_free(name)
            wanted = arguments or dict
            passing = Passing.OPEN if issubclass(wanted, dict) else Passing.STRUCT
            self._entries[name] = Entry(name, Kind.FACTORY, wanted, function, passing)
            return function

        return register

    def command(
        self,
        name: str,
        arguments: ArgumentsType | None = None,
        *,
        inline: bool = False,
        repeatable: bool = False,
        private: bool = False,
    ) -> Callable[[F], F]:
        """Register, as a decorator, a function that answers a command.

        A coroutine function runs on the event loop; a plain one in a thread, unless it is
        `inline`. A parameter named `context` gets a `Context`. What it returns is the answer, as
        JSON; an error of `corex_shared.errors.CommandError` has its own code, any other is a 500.

        Args:
            name: of the command.
            arguments: struct that the arguments must fit, or `dict` for whatever comes; when None,
                the function's parameters are the arguments (see `signatures.read_signature`).
            inline: the function never waits, and is called on the event loop.
            repeatable: see `Entry`.
            private: see `Entry`.

        Raises:
            TakenNameError: the name is taken.
            TypeError: the parameters cannot be arguments.
        """

        def register(function: F) -> F:
            kind = Kind.INLINE if inline else Kind.THREAD
            if _is_coroutine_function(function):
                kind = Kind.ASYNC
            self._add(name, kind, function, arguments, repeatable, private)
            return function

        return register

    def _add(
        self,
        name: str,
        kind: Kind,
        function: Function,
        arguments: ArgumentsType | None,
        repeatable: bool = False,
        private: bool = False,
    ) -> None:
        self._check_free(name)
        wants = read_signature(name, function, arguments)
        self._entries[name] = Entry(
            name,
            kind,
            wants.arguments,
            function,
            wants.passing,
            wants.wants_context,
            repeatable,
            private,
            wants.leads,
        )

    def _check_free(self, name: str) -> None:
        if name in self._entries:
            raise TakenNameError(f"command {name!r} is registered already")
