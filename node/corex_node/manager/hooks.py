"""Hooks: observers of one job. Each is told in a thread, in order (see `observers`).

Derive from `Hook`, or use one of those here with an action of your own. An action that is to go on
in the event loop uses `loop.call_soon_threadsafe`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from corex_node.manager.messages import JobMessage
from corex_shared.models import JobResult
from corex_shared.states import Level

_LINE_AT_MOST = 64 * 1024
"""Characters of one line that are looked at."""


class Hook:
    """Does nothing; the base of all hooks.

    Attributes:
        delay: seconds after the start of each attempt at which `delayed` is called, None for never.
    """

    delay: float | None = None

    def started(self, pid: int) -> None:
        """Hear that an attempt runs, with its process ID (0 for a built-in)."""

    def delayed(self) -> None:
        """Hear that an attempt has lived for `delay`."""

    def message(self, message: JobMessage) -> None:
        """Hear a message of any level."""

    def finished(self, result: JobResult) -> None:
        """Hear the result: nothing follows it."""


class DelayHook(Hook):
    """Acts once, when an attempt has lived for some time."""

    def __init__(self, delay: float, action: Callable[[], object]) -> None:
        """Act after `delay` seconds."""
        self.delay = delay
        self._action: Callable[[], object] | None = action

    def delayed(self) -> None:
        """Act, the first time."""
        action, self._action = self._action, None
        if action is not None:
            action()


class ExitHook(Hook):
    """Acts when the job has ended."""

    def __init__(self, action: Callable[[JobResult], object]) -> None:
        """Call `action` with the result."""
        self._action = action

    def finished(self, result: JobResult) -> None:
        """Act."""
        self._action(result)


class PidHook(Hook):
    """Acts at the start of each attempt."""

    def __init__(self, action: Callable[[int], object]) -> None:
        """Call `action` with the process ID."""
        self._action = action

    def started(self, pid: int) -> None:
        """Act."""
        self._action(pid)


class StreamHook(Hook):
    """Acts on every message."""

    def __init__(self, action: Callable[[JobMessage], object]) -> None:
        """Call `action` with each message."""
        self._action = action

    def message(self, message: JobMessage) -> None:
        """Act."""
        self._action(message)


class MatchHook(Hook):
    """Acts once, on the first line of output that a regular expression is found in.

    A line is what the job writes to stdout or stderr up to a line feed, however it was cut in
    pieces, and the unfinished one at the end of each attempt.
    """

    def __init__(self, pattern: str | re.Pattern[str], action: Callable[[str], object]) -> None:
        """Call `action` with the line.

        Args:
            pattern: searched for in each line.
            action: called once.

        Raises:
            re.error: the pattern is none.
        """
        self._pattern = re.compile(pattern)
        self._action: Callable[[str], object] | None = action
        self._open: dict[int, str] = {}  # level → line so far

    def started(self, pid: int) -> None:
        """Look at what the attempt before left open: it is no part of this one's first line."""
        del pid
        self._look_at_rest()

    def message(self, message: JobMessage) -> None:
        """Look at the lines that this message ends."""
        if self._action is None or message.level > Level.STDERR:
            return
        *lines, rest = (self._open.get(message.level, "") + message.text).split("\n")
        self._open[message.level] = rest[-_LINE_AT_MOST:]
        for line in lines:
            self._look(line)

    def finished(self, result: JobResult) -> None:
        """Look at what never got its end."""
        del result
        self._look_at_rest()

    def _look_at_rest(self) -> None:
        for line in self._open.values():
            self._look(line)
        self._open.clear()

    def _look(self, line: str) -> None:
        action = self._action
        if action is not None and self._pattern.search(line):
            self._action = None
            action(line)
