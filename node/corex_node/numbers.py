"""Numbers of claims: rising for ever, across restarts too, without a round trip."""

from __future__ import annotations

_PER_MS = 1000


class ClaimNumbers:
    """Counts from a start that no predecessor has reached.

    The start is the server's time when the lease was taken, in thousandths of a millisecond; a
    node would have to claim a million commands a second for its whole life to catch up with it.
    Numbers stay below 2**53, up to which Lua counts exactly, until the year 2255.
    """

    def __init__(self, server_ms: int) -> None:
        """Begin at a server time in milliseconds since the epoch."""
        self._next = server_ms * _PER_MS

    def reserve(self, count: int) -> int:
        """Reserve that many numbers and return the first."""
        first = self._next
        self._next += count
        return first
