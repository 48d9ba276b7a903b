"""What Redis was told of finished jobs lately, to be told again should it have forgotten.

A server that is killed may lose what it acknowledged in its last moments (appendfsync everysec),
and so may one whose replica takes its place. Bounded in time, number and bytes; oldest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import Struct

from corex_node.ticket import Ticket
from corex_shared.finishing import Finish

WINDOW = 10.0
"""Seconds for which what was written is remembered."""
_MOST = 20_000
_MOST_BYTES = 16 * 1024 * 1024


class Told(Struct, frozen=True):
    """The end of one job as Redis took it, with where its command was claimed.

    Attributes:
        ticket: of the command.
        finish: what was written.
        at: when, in monotonic seconds.
    """

    ticket: Ticket
    finish: Finish
    at: float

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        finish = self.finish
        return len(finish.result) + len(finish.message) + len(finish.hint)


class Ledger:
    """The ends of jobs that Redis has taken within the last seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin empty; `clock` tells monotonic seconds."""
        self._clock = clock
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many ends are remembered."""
        return len(self._told)

    def __contains__(self, job_id: object) -> bool:
        """Whether the end of a job is remembered."""
        return job_id in self._told

    def ticket_of(self, job_id: str) -> Ticket | None:
        """Find the ticket of a job whose end is remembered."""
        told = self._told.get(job_id)
        return told.ticket if told is not None else None

    def __iter__(self) -> Iterator[Told]:
        """Go through what is remembered, oldest first."""
        return iter(list(self._told.values()))

    def add(self, ticket: Ticket, finish: Finish) -> None:
        """Remember an end that Redis has taken just now."""
        told = Told(ticket, finish, self._clock())
        earlier = self._told.pop(finish.job_id, None)
        if earlier is not None:
            self._bytes -= earlier.size
        self._told[finish.job_id] = told
        self._bytes += told.size
        self.prune()

    def forget(self, job_id: str) -> None:
        """Forget an end that turns out to be others' to write."""
        told = self._told.pop(job_id, None)
        if told is not None:
            self._bytes -= told.size

    def prune(self) -> None:
        """Forget what is old, or too much."""
        oldest = self._clock() - WINDOW
        while self._told:
            first = next(iter(self._told.values()))
            if first.at > oldest and len(self._told) <= _MOST and self._bytes <= _MOST_BYTES:
                return
            self._told.popitem(last=False)
            self._bytes -= first.size
