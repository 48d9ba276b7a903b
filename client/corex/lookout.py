"""Looking at result keys, for all who wait at once.

Hints get lost, and of the jobs of others no hint comes. So keys are looked at, however many jobs
are waited for, in one round trip a second: the jobs of others every second, those of this client,
of which the inbox tells, every few seconds. Whoever reads the inbox for all who wait does this
too (`corex.transport`); what is found is brought to them by the mailbox.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from corex.effects import Plan, Run
from corex.mailbox import Mail, Waiter, found_key
from corex_shared.codec import decode_result
from corex_shared.errors import DecodeError, StoreRefusedError

if TYPE_CHECKING:
    from corex.core import Core
    from corex.ticket import Ticket

PACE = 1.0
"""Seconds between two looks; after which a job of others is looked at again."""
SAFETY = 5.0
"""Seconds after which a job of this client, of which the inbox tells, is looked at again."""
MOST = 10_000
"""Keys of each kind that are looked at, at most, in one look; the next ones in the next."""
MOST_SINGLY = 500
"""The same where one command cannot ask for many keys: on a Cluster."""
CHUNK = 500
"""Keys in one command, or results read in one round trip."""


class _Round:
    """Jobs that are looked at in turn, those not looked at longest first."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._looked: dict[str, float] = {}  # in the order of the last look
        self._watchers: dict[str, int] = {}

    def add(self, job: str, now: float) -> None:
        self._watchers[job] = self._watchers.get(job, 0) + 1
        self._looked.setdefault(job, now)

    def remove(self, job: str) -> None:
        self._watchers[job] -= 1
        if not self._watchers[job]:
            del self._watchers[job], self._looked[job]

    def due(self, now: float, most: int) -> list[str]:
        due: list[str] = []
        for job, looked in self._looked.items():
            if len(due) >= most or now - looked < self._every * 0.95:  # a wait may end early
                break
            due.append(job)
        for job in due:
            del self._looked[job]
            self._looked[job] = now
        return due


class Lookout:
    """Which keys are to be looked at, and when. All methods may be called from any thread.

    Attributes:
        singly: whether every key is to be asked for by a command of its own.
    """

    def __init__(self) -> None:
        """Begin with nothing to look at."""
        self.singly = False
        self._lock = threading.Lock()
        self._ours = _Round(SAFETY)
        self._others = _Round(PACE)
        self._next = float("-inf")

    def watch(self, tickets: Iterable[Ticket], now: float) -> None:
        """Begin to look for the results of jobs; they were looked at a moment ago."""
        with self._lock:
            for ticket in tickets:
                if ticket.key_counts:
                    self._round(ticket).add(ticket.id, now)

    def unwatch(self, tickets: Iterable[Ticket]) -> None:
        """Look no more for jobs that were given to `watch`."""
        with self._lock:
            for ticket in tickets:
                if ticket.key_counts:
                    self._round(ticket).remove(ticket.id)

    def due(self, now: float) -> list[str]:
        """Choose the jobs to look at now; none if the last look was less than a second ago."""
        most = MOST_SINGLY if self.singly else MOST
        with self._lock:
            if now < self._next:
                return []
            jobs = self._others.due(now, most) + self._ours.due(now, most)
            if jobs:
                self._next = now + PACE * 0.95
        return jobs

    def _round(self, ticket: Ticket) -> _Round:
        return self._ours if ticket.mail else self._others


def look(core: Core) -> Plan[set[Waiter]]:
    """Look at the keys that are due, if any are.

    Returns:
        The waiters that have mail now.
    """
    woken: set[Waiter] = set()
    for jobs in (yield from _promising(core, core.lookout.due(core.clock()))):
        woken |= core.mailbox.bring((yield from _read(core, jobs)))
    return woken


def _promising(core: Core, jobs: Sequence[str]) -> Plan[list[Sequence[str]]]:
    """Sort out, in one round trip, jobs of which none has a result."""
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    if not chunks or core.lookout.singly:
        return chunks
    keys = core.keys
    try:
        counts = yield Run([("EXISTS", *(keys.result(job) for job in jobs)) for jobs in chunks])
    except StoreRefusedError:
        core.lookout.singly = True  # they are in different slots of a Cluster
        return chunks[: MOST_SINGLY // CHUNK]
    return [chunk for chunk, count in zip(chunks, counts, strict=True) if count]


def _read(core: Core, jobs: Sequence[str]) -> Plan[list[Mail]]:
    """Read the results that are there; of one that cannot be read its waiter is to be told."""
    try:
        payloads = yield Run([("LINDEX", core.keys.result(job), 0) for job in jobs])
    except StoreRefusedError:
        return [Mail(found_key(job), job, None) for job in jobs]
    return [_mail(job, payload) for job, payload in zip(jobs, payloads, strict=True) if payload]


def _mail(job: str, payload: bytes) -> Mail:
    try:
        return Mail(found_key(job), job, decode_result(payload))
    except DecodeError:
        return Mail(found_key(job), job, None)
