"""Says in the agent's log what Redis refuses, without filling it.

A user without a permission is refused at every try, many times a second on a busy node, and of
every job. So the same reason is said again only after a while, and of different ones so many as
can be read; how many were left out is said with the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from corex_shared.errors import StoreRefusedError

_SAME_AFTER = 30.0
"""Seconds after which the same reason is said again."""
_ANY_AFTER = 1.0
"""Seconds between two lines."""
_REMEMBERED = 100
"""Reasons that are known to have been said."""

_log = structlog.get_logger()


class Refusals:
    """What was refused lately. May be used in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing said; the clock tells seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._last = -_ANY_AFTER
        self._left_out = 0

    def say(self, error: StoreRefusedError, where: str) -> None:
        """Log a refusal, unless there was the same a while ago or another just now.

        Args:
            error: says what was refused.
            where: part of the agent that was.
        """
        reason, now = str(error), self._clock()
        with self._lock:
            before = self._said.get(reason)
            is_old = before is not None and now - before < _SAME_AFTER
            if is_old or now - self._last < _ANY_AFTER:
                self._left_out += 1
                return
            self._said.pop(reason, None)
            self._said[reason] = self._last = now
            if len(self._said) > _REMEMBERED:
                del self._said[next(iter(self._said))]
            left_out, self._left_out = self._left_out, 0
        _log.error("redis.refused", where=where, reason=reason, left_out=left_out)


REFUSALS = Refusals()
"""Those of this process."""
