"""Whether a node was heard by Redis without a gap, for long enough to take others for gone. Pure.

A member of a group that is not heard may be gone; or Redis was, and nobody could be heard. Who was
heard itself all the time can tell.
"""

from __future__ import annotations

_MISSED_BEAT = 1.2
"""Times that a renewal comes later than it should, from which on one was missed."""


class Steadiness:
    """The renewals of one lease; all times in seconds of a monotonic clock."""

    def __init__(self, lease: float, heartbeat: float, now: float) -> None:
        """Begin as the lease is taken.

        Args:
            lease: how long it lasts; others' last as long.
            heartbeat: between two renewals.
            now: when it was taken.
        """
        self._lease = lease
        # In a longer gap a lease may have ended that was renewed just before its next beat.
        self._longest_gap = max(lease - heartbeat, _MISSED_BEAT * heartbeat)
        self._last = self._since = now

    def renewed(self, now: float) -> None:
        """Take note of a renewal."""
        if now - self._last > self._longest_gap:
            self._since = now
        self._last = now

    def holds(self, now: float) -> bool:
        """Whether there was no gap for as long as a lease lasts."""
        return now - self._last <= self._longest_gap and now - self._since >= self._lease
