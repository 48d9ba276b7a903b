"""The commands that a node knows, by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError, CorexError

Function = Callable[..., Any]
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD = re.compile(r"(?:missing required|unknown) field `([^`]*)`")


class Kind(Enum):
    """How a command is run."""

    PROGRAM = "program"  # the function returns the `Program` to run
    INLINE = "inline"  # plain function that never waits: called on the event loop
    THREAD = "thread"  # plain function that may wait: called in a thread
    ASYNC = "async"  # coroutine function


class NoArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of a command that takes none."""


_NONE = NoArguments()


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
        arguments: struct that its arguments are checked against.
        function: called with the arguments, or with a context and the arguments.
        wants_context: which of both.
        repeatable: running it twice cannot be told from running it once, so that the agent need
            not remember that it ran.
    """

    name: str
    kind: Kind
    arguments: type[msgspec.Struct]
    function: Function
    wants_context: bool
    repeatable: bool

    def parse(self, arguments: dict[str, Any] | None) -> Any:
        """Check arguments.

        Raises:
            BadRequestError: one is wrong, missing or unknown; the error names it.
        """
        if not arguments and self.arguments is NoArguments:
            return _NONE
        try:
            return msgspec.convert(arguments or {}, self.arguments)
        except msgspec.ValidationError as error:
            raise BadRequestError(_named(str(error))) from error


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

    def program(
        self, name: str, arguments: type[msgspec.Struct]
    ) -> Callable[[Callable[[Any], Program]], Callable[[Any], Program]]:
        """Register, as a decorator, a function that tells which program to run.

        Raises:
            TakenNameError: the name is taken.
        """

        def register(function: Callable[[Any], Program]) -> Callable[[Any], Program]:
            self._add(Entry(name, Kind.PROGRAM, arguments, function, False, False))
            return function

        return register

    def command(
        self,
        name: str,
        arguments: type[msgspec.Struct] = NoArguments,
        *,
        inline: bool = False,
        repeatable: bool = False,
    ) -> Callable[[Function], Function]:
        """Register, as a decorator, a function that answers a command.

        A coroutine function runs on the event loop; a plain one in a thread, unless it is
        `inline`. A function with a parameter named `context` gets a `Context` first.

        Args:
            name: of the command.
            arguments: struct that the arguments must fit.
            inline: the function never waits, and is called on the event loop.
            repeatable: see `Entry`.

        Raises:
            TakenNameError: the name is taken.
        """

        def register(function: Function) -> Function:
            kind = Kind.INLINE if inline else Kind.THREAD
            if inspect.iscoroutinefunction(function):
                kind = Kind.ASYNC
            wants_context = "context" in inspect.signature(function).parameters
            self._add(Entry(name, kind, arguments, function, wants_context, repeatable))
            return function

        return register

    def _add(self, entry: Entry) -> None:
        if entry.name in self._entries:
            raise TakenNameError(f"command {entry.name!r} is registered already")
        self._entries[entry.name] = entry
