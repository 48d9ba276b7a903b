"""Which nodes of a run are away, and since when. Pure: told what was seen, and when.

A heartbeat that is missed says little: after Redis was away all are missing for a moment. So a
node counts as gone only when it was missing in all looks of some seconds, all of them answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

GONE = 6.0
"""Seconds for which a node's heartbeat is missing until it counts as gone. Nodes that were cut off
tell of themselves every five seconds."""
LOST_WAIT = 30.0
"""Seconds for which the result of a job is awaited that a node had when it went away. Another agent
writes it (LOST) about a lease after the node's heartbeat ended."""


class Absences:
    """The nodes that were missing at the last look. All times are seconds of one clock."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._claimed: dict[int, float] = {}

    def saw(self, there: Mapping[int, bool], now: float) -> None:
        """Take note of a look at heartbeats."""
        for index, is_there in there.items():
            if is_there:
                self._since.pop(index, None)
                self._claimed.pop(index, None)
            else:
                self._since.setdefault(index, now)

    def reset(self) -> None:
        """Take note that Redis was away: what was missing may only have had no way to tell."""
        self._since.clear()
        self._claimed.clear()

    def forget(self, indexes: Iterable[int]) -> None:
        """Look no more at some nodes."""
        for index in indexes:
            self._since.pop(index, None)
            self._claimed.pop(index, None)

    def gone(self, now: float) -> list[int]:
        """Name the nodes that are gone, and of which it is not known yet where their job is."""
        return [
            index
            for index, since in self._since.items()
            if now - since >= GONE and index not in self._claimed
        ]

    def is_missing(self, index: int) -> bool:
        """Tell whether a node was missing at the last look."""
        return index in self._since

    def had_its_job(self, index: int, now: float) -> None:
        """Take note that a node which is gone had taken its command: its result is awaited."""
        self._claimed[index] = now

    def overdue(self, now: float) -> list[int]:
        """Name the nodes whose result was awaited in vain."""
        return [index for index, since in self._claimed.items() if now - since >= LOST_WAIT]
