"""One group that a node takes part in: joined, claimed from; joined anew when it was lost.

* Takes the lease of a member, and settles what the node's last agent left claimed there.
* Has the group's list claimed from, by what room the node has.
* Has what nodes that are gone left there settled meanwhile.
* When the lease was lost, what was claimed is others': ends those jobs without results, then
  begins anew.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog

from corex_node.admission import Admission
from corex_node.group_reaper import GroupReaper
from corex_node.group_store import GroupStore
from corex_node.intake import Intake
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.patience import until_available
from corex_node.places import Place
from corex_node.reaped import Manner
from corex_node.recovery import recover
from corex_node.steadiness import Steadiness
from corex_node.store import NodeStore
from corex_node.ticket import Ticket
from corex_shared.endings import end
from corex_shared.errors import GroupLostError, StoreError

_END_PATIENCE = 5.0
_LOOK_AGAIN = 0.05
"""Seconds between two looks at what the outbox has yet to write."""

_log = structlog.get_logger()

MakeIntake = Callable[[Place], Intake]


@dataclass(frozen=True, slots=True)
class GroupParts:
    """What the groups of a node share.

    Attributes:
        store: Redis, for commands.
        groups: Redis, for leases.
        admission: settles what is found claimed.
        manager: of the jobs.
        scope: of the node's jobs on this machine.
        payload_limit: largest command, in bytes.
        manner: how what others have left is settled.
        lease: of a member, in seconds.
        heartbeat: seconds between two renewals.
    """

    store: NodeStore
    groups: GroupStore
    admission: Admission
    manager: ProcessManager
    scope: str
    payload_limit: int
    manner: Manner
    lease: float
    heartbeat: float

    @property
    def lease_ms(self) -> int:
        """A member's lease as the server counts it."""
        return int(self.lease * 1000)


class Group:
    """One group that the node takes part in.

    Attributes:
        place: its list.
        joined: how often it was joined; a lease is that of one of these times.
        held: whether its lease is to be renewed.
    """

    def __init__(self, name: str, parts: GroupParts) -> None:
        """Begin outside of it."""
        self.place = parts.groups.place(name)
        self.joined = 0
        self.held = False
        self._parts = parts
        known = partial(parts.admission.known_fields, name)
        self._reaper = GroupReaper(
            self.place, parts.groups, parts.store, parts.manner, parts.lease, known
        )
        self._lost = asyncio.Event()
        self._intake: Intake | None = None
        self._recovering: asyncio.Task[int] | None = None
        self._steadiness = self._begin()

    async def run(self, make_intake: MakeIntake) -> None:
        """Take part; to be cancelled.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        while True:
            await until_available(self._join, self._say_away)
            try:
                await self._recover()
                await self._claim(make_intake(self.place))
            except GroupLostError as error:
                self._log_lost(str(error))
            self.held = False
            await self._disown()

    async def settled(self) -> None:
        """Return when nothing is being admitted any more; to be awaited after `run` was ended."""
        if self._recovering is not None:
            await asyncio.wait({self._recovering})
        if self._intake is not None:
            await self._intake.settled()

    # -- the lease ----------------------------------------------------------------------------

    def renewed(self, joined: int) -> None:
        """Take note that the lease was renewed. Called from the heartbeat's thread."""
        if joined != self.joined:
            return
        self._steadiness.renewed(time.monotonic())

    def _is_steady(self) -> bool:
        return self._steadiness.holds(time.monotonic())

    def _begin(self) -> Steadiness:
        parts = self._parts
        return Steadiness(parts.lease, parts.heartbeat, time.monotonic())

    def lose(self, joined: int) -> None:
        """Take note that the lease was lost, unless it has been taken anew since."""
        if joined == self.joined and self.held:
            self._log_lost("its renewal was refused")
            self._lost.set()

    def _log_lost(self, reason: str) -> None:
        if not self._lost.is_set():
            _log.error("group.lost", group=self.place.group, reason=reason)

    async def _join(self) -> None:
        await self._parts.groups.join(self.place, self._parts.lease_ms)
        self._lost.clear()
        self.joined += 1
        self._steadiness = self._begin()
        self.held = True

    def _say_away(self, error: StoreError, pause: float) -> None:
        _log.warning(
            "group.away", group=self.place.group, reason=str(error), again_in=round(pause, 1)
        )

    # -- commands -----------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Settle what the node's last agent left in the group.

        What this agent has left there itself, when it lost the lease, others may be about to
        settle: so it is settled as they do it, and nothing of it is started.
        """
        parts = self._parts

        def recover_last() -> Any:
            return recover(
                parts.store, parts.admission, parts.scope, parts.payload_limit, self.place
            )

        work = recover_last if self.joined == 1 else self._reaper.settle_own
        # A cancelled recovery would be one of commands half admitted: see `settled`.
        self._recovering = asyncio.create_task(until_available(work, self._say_away))
        recovered = await asyncio.shield(self._recovering)
        _log.info("group.joined", group=self.place.group, recovered=recovered)

    async def _claim(self, intake: Intake) -> None:
        """Claim until the lease is lost."""
        self._intake = intake
        parts = [
            asyncio.create_task(part)
            for part in (intake.run(), self._reaper.run(self._is_steady), self._is_lost())
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(parts, _END_PATIENCE)
        await intake.settled()
        for part in parts:
            if not part.cancelled():
                part.result()

    async def _is_lost(self) -> None:
        await self._lost.wait()

    async def _disown(self) -> None:
        """End the jobs of the group; their results are not this node's to write.

        Nor is any command claimed anew while a result of it may be on its way from here.
        """
        manager, known = self._parts.manager, self._parts.admission.known_fields
        jobs = [job for job in manager.jobs.values() if self._is_of_group(job)]
        disown(manager, jobs)
        while any(manager.jobs.get(job.id) is job for job in jobs):
            await manager.change()
        while known(self.place.group):  # noqa: ASYNC110 - what is written is nobody's event
            await asyncio.sleep(_LOOK_AGAIN)
        _log.warning("group.ended_jobs", group=self.place.group, count=len(jobs))

    def _is_of_group(self, job: Job) -> bool:
        return not job.local and cast("Ticket", job.origin).group == self.place.group


def disown(manager: ProcessManager, jobs: Sequence[Job]) -> None:
    """End jobs that are no longer this node's, at once: they may be running elsewhere.

    Several parts find out that a group is lost, each in its own time: a job that another has ended
    meanwhile is passed over.
    """
    for job in jobs:
        cast("Ticket", job.origin).disowned = True
        if manager.jobs.get(job.id) is not job:
            continue
        if job.execution is not None:
            manager.stop(job.id, signal.SIGKILL)
        else:
            manager.withdraw(job)
