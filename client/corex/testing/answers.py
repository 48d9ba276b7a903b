"""What nodes in memory answer: canned answers, and how an attempt ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, structs

from corex_shared import codec
from corex_shared.errors import CommandError
from corex_shared.models import Command
from corex_shared.states import (
    CODES,
    EXIT_CODE_BASE,
    SIGNAL_CODE_BASE,
    JobState,
    Level,
)

PROGRAMS = frozenset({"bash", "core.system"})
"""Commands that run a process."""
FOREVER = float("inf")

_LOST = "the agent died while it ran"


class Outcome(Struct, frozen=True):
    """How an attempt ended."""

    state: JobState
    code: int
    signal: int = 0
    data: str = ""
    level: int = 0

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.state is JobState.SUCCESS


def of_state(state: JobState, why: str = "", code: int | None = None) -> Outcome:
    """Make the outcome of a state, with a reason for people."""
    number = CODES.get(state, 500) if code is None else code
    if not why:
        return Outcome(state, number)
    return Outcome(state, number, data=codec.encode_data(why), level=Level.JSON)


def of_value(value: object) -> Outcome:
    """Make the outcome of a function that returned; one without a form in JSON is its error."""
    try:
        return Outcome(JobState.SUCCESS, 0, data=codec.encode_data(value), level=Level.JSON)
    except (TypeError, ValueError, RecursionError) as error:
        return of_error(error)


def of_error(error: BaseException) -> Outcome:
    """Make the outcome of a function that raised: its own code, or 500."""
    if isinstance(error, CommandError):
        return of_state(JobState.ERROR, str(error), error.code)
    return of_state(JobState.ERROR, f"{type(error).__name__}: {error}", 500)


@dataclass(frozen=True, slots=True)
class Answer:
    """A canned answer; a function that answers a command may return one, too.

    It writes what it has to write, waits, and ends.

    Attributes:
        stdout: what the command writes.
        stderr: the same, to its standard error.
        code: with which its process exits.
        signal: of which its process dies.
        data: what it answers, to be written as JSON; None for a process, which answers nothing.
        delay: seconds for which it runs; `FOREVER` until it is killed or its time is up.
        state: that it ends in whatever it says, such as `JobState.LOST`.
        error: that it fails with, such as `corex.NotFoundError("path: not there")`.
    """

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    signal: int = 0
    data: Any = None
    delay: float = 0.0
    state: JobState | None = None
    error: CommandError | None = None

    def __post_init__(self) -> None:
        """Refuse what no process or command could end with.

        Raises:
            ValueError: a number is out of its range.
        """
        if not 0 <= self.code <= 255:
            raise ValueError(f"code: {self.code}: a process exits with 0 to 255")
        if not 0 <= self.signal <= 64:
            raise ValueError(f"signal: {self.signal}: there is none of that number")
        if not self.delay >= 0:
            raise ValueError(f"delay: {self.delay}: seconds are wanted, 0 or more")

    @property
    def outcome(self) -> Outcome:
        """How it ends when nobody ends it."""
        if self.state is not None and self.state is not JobState.SUCCESS:
            code = 400 if self.state is JobState.REJECTED else None
            return of_state(self.state, _LOST if self.state is JobState.LOST else "", code)
        if self.error is not None:
            return of_error(self.error)
        if self.signal:
            ended = Outcome(JobState.ERROR, SIGNAL_CODE_BASE + self.signal, self.signal)
        elif self.code:
            ended = Outcome(JobState.ERROR, EXIT_CODE_BASE + self.code)
        else:
            ended = Outcome(JobState.SUCCESS, 0)
        if self.data is None:
            return ended
        said = of_value(self.data)
        if not said.ok:  # it has no form in JSON
            return said
        return structs.replace(ended, data=said.data, level=said.level)


Handler = Callable[..., Any]
"""Called with a command's arguments, and with the `MemoryJob` if it takes two."""


class Rule:
    """Says what answers some commands.

    Attributes:
        command: their name.
        answer: what answers them.
        left: how many more it answers, None for all.
    """

    def __init__(
        self,
        command: str,
        answer: Answer | Handler,
        *,
        script: str | re.Pattern[str] | None = None,
        arguments: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> None:
        """Make a rule.

        Args:
            command: name of the commands.
            answer: what answers them.
            script: found somewhere in the script of `bash`, or in the program and its arguments,
                with spaces between, of `core.system`.
            arguments: that the command has, among others.
            times: how many commands it answers; None for all.
        """
        self.command = command
        self.answer = answer
        self.left = times
        self._script = None if script is None else re.compile(script)
        self._arguments = dict(arguments or {})

    def fits(self, command: Command) -> bool:
        """Tell whether it answers a command."""
        if command.command != self.command or self.left == 0:
            return False
        given = command.arguments or {}
        if any(
            name not in given or given[name] != self._arguments[name] for name in self._arguments
        ):
            return False
        return self._script is None or self._script.search(line_of(command)) is not None

    def take(self) -> Answer | Handler:
        """Answer one."""
        if self.left is not None:
            self.left -= 1
        return self.answer


def line_of(command: Command) -> str:
    """The script, or the program and its arguments, of a command; empty if it has neither."""
    given = command.arguments or {}
    if command.command == "bash":
        return str(given.get("script", ""))
    if command.command == "core.system":
        return " ".join(map(str, [given.get("name", ""), *(given.get("args") or [])]))
    return ""
