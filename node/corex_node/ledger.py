"""What Redis was told of finished jobs lately, to be told again should it have forgotten.

A server that is killed may lose what it acknowledged in its last moments (appendfsync everysec),
and so may one whose replica takes its place. Bounded in time, number and bytes; oldest go first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from corex_node.ticket import Ticket
from corex_shared.finishing import Finish

WINDOW = 10.0
"""Seconds for which what was written is remembered at most."""
_MOST = 20_000
_MOST_BYTES = 16 * 1024 * 1024

End = tuple[Ticket, Finish]
"""The end of one job as Redis took it, with where its command was claimed."""


class _Written(NamedTuple):
    """Ends that Redis took at once, and when, in monotonic seconds."""

    at: float
    ends: Sequence[End]
    size: int


class Ledger:
    """The ends of jobs that Redis has taken within the last seconds.

    Attributes:
        window: for so many seconds.
    """

    def __init__(self, clock: Callable[[], float], retention: float = WINDOW) -> None:
        """Begin empty.

        Args:
            clock: tells monotonic seconds.
            retention: how long results live, in seconds: what has expired is not forgotten.
        """
        self._clock = clock
        self.window = min(WINDOW, retention)
        self._written: deque[_Written] = deque()
        self._count = 0
        self._bytes = 0
        # Made after a break, when it is asked for, and kept for as long as what it tells of.
        self._index: dict[str, End] | None = None
        self._index_until = 0.0

    def __len__(self) -> int:
        """How many ends are remembered; while none is looked for, one told twice counts twice."""
        return self._count if self._index is None else len(self._index)

    def __contains__(self, job_id: object) -> bool:
        """Whether the end of a job is remembered."""
        return job_id in self._by_job()

    def __iter__(self) -> Iterator[End]:
        """Go through what is remembered, about in its order."""
        return iter(list(self._by_job().values()))

    def ticket_of(self, job_id: str) -> Ticket | None:
        """Find the ticket of a job whose end is remembered."""
        end = self._by_job().get(job_id)
        return end[0] if end is not None else None

    def add(self, ends: Sequence[End]) -> None:
        """Remember ends that Redis has taken just now."""
        if not ends:
            return
        size = 0
        for _, finish in ends:
            size += len(finish.result) + len(finish.message)
        self._written.append(_Written(self._clock(), ends, size))
        self._count += len(ends)
        self._bytes += size
        if self._index is not None:
            self._index.update((end[1].job_id, end) for end in ends)
        self.prune()

    def forget(self, job_id: str) -> None:
        """Forget an end that turns out to be others' to write."""
        self._by_job().pop(job_id, None)

    def prune(self) -> None:
        """Forget what is old, or too much."""
        now = self._clock()
        oldest = now - self.window
        while self._written and (
            self._written[0].at <= oldest or self._count > _MOST or self._bytes > _MOST_BYTES
        ):
            self._drop(self._written.popleft())
        if now > self._index_until:  # also what was to be forgotten has gone by now
            self._index = None

    def _by_job(self) -> dict[str, End]:
        """All ends by their job: the index, kept for a while from now."""
        if self._index is None:
            self._index = {end[1].job_id: end for each in self._written for end in each.ends}
        self._index_until = self._clock() + self.window
        return self._index

    def _drop(self, written: _Written) -> None:
        self._count -= len(written.ends)
        self._bytes -= written.size
        if self._index is None:
            return
        for end in written.ends:
            job_id = end[1].job_id
            if self._index.get(job_id) is end:  # else it was written anew since
                del self._index[job_id]
