"""What every plan of one client shares: names, encoding, clock, mailbox; and bounded waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from corex.effects import Sleep
from corex.lookout import Lookout
from corex.mailbox import Mailbox
from corex_shared.codec import DEFAULT_LIMIT, Encoding
from corex_shared.errors import StoreError, WaitTimeout
from corex_shared.identifiers import new_id
from corex_shared.keys import Keys

SLICE = 5.0
"""Longest single wait for mail, in seconds; a longer one is made of several."""
BLOCK = 2.0
"""Longest single wait on the server, in seconds: a connection that is dead is noticed some seconds
after it."""
WAIT_TIMEOUT = 300.0
"""Seconds that `wait` and its like wait unless told otherwise."""
DOCTOR_TIMEOUT = 5.0
"""Seconds that nodes have to answer when all is checked, unless told otherwise."""
STREAM_TIMEOUT = 3600.0
"""Seconds that a job's output is followed unless told otherwise."""

_FIRST_BACKOFF = 0.1
_LAST_BACKOFF = 2.0


@dataclass(frozen=True, slots=True)
class Core:
    """The fixed surroundings of a client's plans.

    Attributes:
        keys: the keys of the namespace.
        encoding: how commands are written.
        client_id: whose inbox hears of results.
        mailbox: what the inbox told.
        lookout: whose result keys are looked at.
        clock: monotonic seconds.
        now_ms: milliseconds since the epoch.
        limit: largest payload in bytes.
    """

    keys: Keys = field(default_factory=Keys)
    encoding: Encoding = Encoding.MSGPACK
    client_id: str = field(default_factory=new_id)
    mailbox: Mailbox = field(default_factory=Mailbox)
    lookout: Lookout = field(default_factory=Lookout)
    clock: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    limit: int = DEFAULT_LIMIT

    @property
    def inbox(self) -> str:
        """Key of this client's inbox."""
        return self.keys.inbox(self.client_id)


class Patience:
    """A bounded wait that outlives the loss of Redis.

    Tasks: know how much time is left; say how long to back off after an error; end the wait with
    an error that names what was waited for and, if Redis was away, why.
    """

    def __init__(self, core: Core, what: str, seconds: float) -> None:
        """Begin the wait.

        Raises:
            ValueError: the time is not a number of seconds, 0 or more, and finite.
        """
        self._clock = core.clock
        self._what = what
        self._seconds = checked_timeout(seconds)
        self._end = core.clock() + self._seconds
        self._backoff = _FIRST_BACKOFF
        self._error: StoreError | None = None

    @property
    def left(self) -> float:
        """Seconds left, 0 when the time is up."""
        return max(0.0, self._end - self._clock())

    def failed(self, error: StoreError) -> Sleep:
        """Take note of an error of Redis.

        Returns:
            The pause to make before the next try.

        Raises:
            WaitTimeout: no time is left for one.
        """
        self._error = error
        return self.again(error)

    def again(self, cause: Exception | None = None) -> Sleep:
        """Have something tried again.

        Returns:
            The pause to make before; each is longer than the last one until something succeeds.

        Raises:
            WaitTimeout: no time is left for it.
        """
        left = self.left
        if left <= 0:
            raise self.timeout() from cause
        pause = min(self._backoff, left)
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF)
        return Sleep(pause)

    def succeeded(self) -> None:
        """Take note that Redis answers (again), or that what was tried has succeeded."""
        self._error = None
        self._backoff = _FIRST_BACKOFF

    def timeout(self) -> WaitTimeout:
        """Make the error that ends the wait."""
        what = f"{self._what} (Redis: {self._error})" if self._error else self._what
        return WaitTimeout(what, self._seconds)

    def rename(self, what: str) -> None:
        """Say anew what is waited for."""
        self._what = what


def checked_timeout(seconds: Any) -> float:
    """Return a timeout as it is.

    Raises:
        ValueError: it is not a number of seconds, 0 or more, and finite.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"a timeout is a number of seconds, 0 or more, not {seconds!r}")
    return float(seconds)
