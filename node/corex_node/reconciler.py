"""Compares what Redis holds with what the agent knows, whenever the two may differ.

They may after every break: a server that comes back, or the replica that took its place, may have
forgotten what it acknowledged last; and while the lease had run out, others may have settled jobs.

* Ends that Redis was told of lately are told again; each is taken once, whatever is repeated. So it
  is with payloads that were rejected.
* A job that runs or waits here and is not claimed there is claimed again; one that has a result,
  which somebody else wrote, is not: `on_settled` hears of it.
* What is claimed there and unknown here is settled like what a predecessor left; not by an agent
  that stops: it is on its way back to its list then, or for the next agent to go on with.
* For a while, commands that come again under the ID of a job known here are that very job: the
  server has forgotten that they were claimed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog

from corex_node.admission import Admission
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.outbox import Outbox
from corex_node.patience import until_available
from corex_node.places import Place
from corex_node.records import Acceptance, Held, Refiling
from corex_node.recovery import read_entries, settle_left
from corex_node.store import NodeStore
from corex_node.ticket import UNFILED, Source, Ticket
from corex_shared import codec
from corex_shared.errors import GroupLostError

_WINDOW = 10.0
"""Seconds after a comparison in which forgotten claims come back."""
_CALM = 3.0
"""Seconds without another sign of it after which a break is over: none of those who notice it tries
again less often."""
_BATCH = 500
_ACCEPTED, _SETTLED = 1, 2

_log = structlog.get_logger()


@dataclass(slots=True)
class _Done:
    """What one break has cost, which several comparisons may have found."""

    told_again: int = 0
    adopted: int = 0
    claimed_again: int = 0

    def __bool__(self) -> bool:
        return bool(self.told_again or self.adopted or self.claimed_again)


class Reconciler:
    """Brings Redis and the agent to agree.

    Attributes:
        rounds: comparisons that were made.
        is_quiet: tells whether the agent stops: it takes up nothing more.
        groups: tells the places of the groups that the node takes part in now.
        on_settled: hears of jobs that run or wait here and have a result of somebody else.
    """

    def __init__(
        self,
        store: NodeStore,
        manager: ProcessManager,
        admission: Admission,
        outbox: Outbox,
        payload_limit: int,
    ) -> None:
        """Connect the parts; `run` does the work."""
        self._store = store
        self._manager = manager
        self._admission = admission
        self._outbox = outbox
        self._payload_limit = payload_limit
        self._wanted = asyncio.Event()
        self._rounds = asyncio.Condition()
        self._begun = 0
        self._window_ends = 0.0
        self._done = _Done()
        self.rounds = 0
        self.is_quiet: Callable[[], bool] = lambda: False
        self.groups: Callable[[], list[Place]] = list
        self.on_settled: Callable[[list[Job]], None] = lambda jobs: None

    # -- for those who notice a break -----------------------------------------------------------

    def suspect(self) -> None:
        """Have all compared soon: Redis was away, or the lease had run out."""
        self._window_ends = float("inf")  # until it has been compared
        self._wanted.set()

    async def compare(self) -> None:
        """Have all compared, and return when it is done; waits for Redis as long as it takes."""
        round_wanted = self._begun + 1
        self.suspect()
        async with self._rounds:
            await self._rounds.wait_for(lambda: self.rounds >= round_wanted)

    async def settled(self) -> None:
        """Return when no comparison is under way or wanted; the caller bounds the wait."""
        async with self._rounds:
            await self._rounds.wait_for(
                lambda: self.rounds == self._begun and not self._wanted.is_set()
            )

    def may_come_again(self) -> bool:
        """Whether what comes now may have come before: Redis may have forgotten that it did."""
        return time.monotonic() <= self._window_ends

    def known_again(self, job_id: str) -> Ticket | None:
        """Find what we have under the ID of a command that comes now, if Redis may have forgotten.

        Returns:
            The ticket of the job that runs or waits here, or has ended lately; None after the
            window, or if there is none that came from Redis.
        """
        if not self.may_come_again():
            return None
        job = self._manager.jobs.get(job_id)
        if job is not None:
            return None if job.local else _ticket(job)
        return self._outbox.ticket_of(job_id)

    # -- component ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compare whenever it is wanted; to be cancelled.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        try:
            while True:
                await self._await_suspicion()
                self._begun += 1
                await until_available(self._compare)
                if not self._wanted.is_set():
                    self._window_ends = time.monotonic() + _WINDOW
                async with self._rounds:
                    self.rounds = self._begun
                    self._rounds.notify_all()
        finally:
            self._say()

    async def _await_suspicion(self) -> None:
        """Return when all is to be compared; when a break is over, say what it has cost."""
        try:
            async with asyncio.timeout(_CALM if self._done else None):
                await self._wanted.wait()
        except TimeoutError:
            self._say()
            await self._wanted.wait()
        self._wanted.clear()

    def _say(self) -> None:
        done, self._done = self._done, _Done()
        if done:
            _log.info(
                "node.reconciled",
                told_again=done.told_again,
                adopted=done.adopted,
                claimed_again=done.claimed_again,
            )

    async def _compare(self) -> None:
        done = self._done
        # The same ends each time, about.
        done.told_again = max(done.told_again, self._outbox.tell_again())
        await self._admission.reject_again()
        for place in [self._store.place(Source.COMMANDS), *self.groups()]:
            try:
                found = await self._store.claimed(place.group)
                done.adopted += await self._adopt_unknown(place, found)
                done.claimed_again += await self._claim_again(place, found)
            except GroupLostError:
                continue  # what this node had of it is others' now

    async def _adopt_unknown(self, place: Place, found: dict[bytes, bytes]) -> int:
        """Settle what is filed and unknown here; what is not filed yet is the intake's."""
        if self.is_quiet():
            return 0
        known = self._admission.known_fields(place.group)
        unknown = [
            entry
            for entry in read_entries(found, place if place.group else None)
            if entry.field[:1] not in UNFILED
            and entry.field not in known
            and entry.field not in self._manager.jobs
            and entry.field not in self._outbox.ledger
        ]
        return await settle_left(
            self._store, self._admission, unknown, self._payload_limit, place.group
        )

    async def _claim_again(self, place: Place, found: dict[bytes, bytes]) -> int:
        filed = [job for job in self._manager.snapshot() if _is_filed(job, place)]
        lost = [job for job in filed if job.id.encode() not in found]
        if not place.group:  # those of a group are its reapers'
            lost += await self._held_elsewhere([job for job in filed if job.id.encode() in found])
        count = 0
        for at in range(0, len(lost), _BATCH):
            count += await self._file_again(place, lost[at : at + _BATCH])
        return count

    async def _held_elsewhere(self, jobs: list[Job]) -> list[Job]:
        """Find jobs that are claimed still, and that somebody else has settled, or had before us.

        A reaper that was about to forget them found the node back, or died; or the server has
        forgotten that we took them over from a predecessor.
        """
        elsewhere: list[Job] = []
        for at in range(0, len(jobs), _BATCH):
            some = jobs[at : at + _BATCH]
            ours = await self._store.are_held([job.id for job in some])
            elsewhere += [job for job, held in zip(some, ours, strict=True) if not held]
        return elsewhere

    async def _file_again(self, place: Place, jobs: list[Job]) -> int:
        """Claim jobs again, unless they have a result."""
        # One that has ended meanwhile would be accepted as finished, and its result refused.
        jobs = [job for job in jobs if self._is_here(job)]
        acceptances = [
            Acceptance(job.id, _ticket(job).claim(self._manager.node), job.stage) for job in jobs
        ]
        answers = await self._store.admit(acceptances, [])
        settled, open_jobs = [], []
        for job, answer in zip(jobs, answers, strict=True):
            if not self._is_here(job):
                continue
            if answer == _ACCEPTED:
                open_jobs.append(job)
            elif answer == _SETTLED:
                settled.append(job)
        await self._store.refile(place, [self._refiling(job) for job in open_jobs])
        ended = [job for job in open_jobs if not self._is_here(job)]
        if ended:  # while they were being claimed again
            self._outbox.release(
                [Held(place.group, job.id, _ticket(job).claim(self._manager.node)) for job in ended]
            )
        if settled:
            _log.warning("job.settled_elsewhere", jobs=[job.id for job in settled][:10])
            self.on_settled(settled)
        return len(open_jobs)

    def _is_here(self, job: Job) -> bool:
        """Whether a job has not ended meanwhile."""
        return self._manager.jobs.get(job.id) is job

    def _refiling(self, job: Job) -> Refiling:
        ticket = _ticket(job)
        payload = codec.encode(job.command, ticket.encoding)
        return Refiling(job.id, ticket.claim(self._manager.node), job.stage, payload)


def _ticket(job: Job) -> Ticket:
    return cast("Ticket", job.origin)


def _is_filed(job: Job, place: Place) -> bool:
    """Whether a job was filed at a place under its ID, as far as we know."""
    if job.local or not job.admitted:
        return False
    ticket = _ticket(job)
    return ticket.group == place.group and ticket.field == job.id and not ticket.disowned
