"""Says in the agent's log that Redis is away, and does not fill it: at once, then more seldom."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
"""Seconds between two lines: at first, and in the end."""

_log = structlog.get_logger()


class Absence:
    """What one part of the agent notices of a Redis that is away. Used in one thread."""

    def __init__(self, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with one that is there.

        Args:
            part: with what the events begin: `<part>.away`, `<part>.back`.
            clock: tells seconds.
        """
        self._part = part
        self._clock = clock
        self._tries = 0
        self._since = 0.0
        self._say_at = 0.0
        self._pause = _FIRST_PAUSE

    def away(self, reason: str) -> None:
        """Take note of a try that failed; said if it is the first, or the last line is old."""
        now = self._clock()
        self._tries += 1
        if self._tries == 1:
            self._since, self._pause = now, _FIRST_PAUSE
        elif now < self._say_at:
            return
        else:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._say_at = now + self._pause
        _log.warning(f"{self._part}.away", reason=reason, away_for=self._seconds(now))

    def back(self) -> None:
        """Say that it is there again, if it was away."""
        if self._tries:
            seconds = self._seconds(self._clock())
            _log.info(f"{self._part}.back", away_for=seconds, tries=self._tries)
            self._tries = 0

    def _seconds(self, now: float) -> float:
        return round(now - self._since, 1)
