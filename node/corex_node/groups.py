"""The groups that a node takes part in: joined, claimed from, left; joined anew when lost.

* Takes the lease of a member, and settles what the node's last agent left claimed there.
* Has the group's list claimed from, by what room the node has.
* Has the lease renewed from the heartbeat's thread, and those of others looked after meanwhile.
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
from corex_node.group_reaper import GroupReaper, ReapManner
from corex_node.group_store import GroupStore, renewal
from corex_node.intake import Intake
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.patience import until_available
from corex_node.places import Place
from corex_node.recovery import recover
from corex_node.store import NodeStore
from corex_node.ticket import Ticket
from corex_shared.endings import end
from corex_shared.errors import GroupLostError
from corex_shared.scripts import Call

_END_PATIENCE = 5.0
_MISSED_BEATS = 1.2
"""Times that a renewal comes later than it should, from which on one was missed."""

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
        heartbeat: seconds between two renewals.
    """

    store: NodeStore
    groups: GroupStore
    admission: Admission
    manager: ProcessManager
    scope: str
    payload_limit: int
    manner: ReapManner
    heartbeat: float

    @property
    def lease_ms(self) -> int:
        """A member's lease as the server counts it."""
        return int(self.manner.lease * 1000)


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
        self._reaper = GroupReaper(self.place, parts.groups, parts.store, parts.manner, known)
        self._lost = asyncio.Event()
        self._intake: Intake | None = None
        self._recovering: asyncio.Task[int] | None = None
        self._renewed = self._steady_since = 0.0  # monotonic

    async def run(self, make_intake: MakeIntake) -> None:
        """Take part; to be cancelled.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        while True:
            await until_available(self._join)
            try:
                await self._recover()
                await self._claim(make_intake(self.place))
            except GroupLostError as error:
                _log.debug("group.refused", group=self.place.group, reason=str(error))
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
        now, parts = time.monotonic(), self._parts
        late = max(parts.manner.lease - parts.heartbeat, _MISSED_BEATS * parts.heartbeat)
        if now - self._renewed > late:
            self._steady_since = now
        self._renewed = now

    def is_steady(self) -> bool:
        """Whether the lease was renewed without a gap, as long as a lease lasts."""
        now, lease = time.monotonic(), self._parts.manner.lease
        return now - self._renewed < lease <= now - self._steady_since

    def lose(self, joined: int) -> None:
        """Take note that the lease was lost, unless it has been taken anew since."""
        if joined == self.joined and self.held:
            _log.error("group.lost", group=self.place.group)
            self._lost.set()

    async def _join(self) -> None:
        await self._parts.groups.join(self.place, self._parts.lease_ms)
        self._lost.clear()
        self.joined += 1
        self._renewed = self._steady_since = time.monotonic()
        self.held = True

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
        self._recovering = asyncio.create_task(until_available(work))
        recovered = await asyncio.shield(self._recovering)
        _log.info("group.joined", group=self.place.group, recovered=recovered)

    async def _claim(self, intake: Intake) -> None:
        """Claim until the lease is lost."""
        self._intake = intake
        parts = [
            asyncio.create_task(part)
            for part in (intake.run(), self._reaper.run(self.is_steady), self._is_lost())
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
        """End the jobs of the group; their results are not this node's to write."""
        manager = self._parts.manager
        jobs = [job for job in manager.jobs.values() if self._is_of_group(job)]
        disown(manager, jobs)
        while any(manager.jobs.get(job.id) is job for job in jobs):
            await manager.change()
        _log.warning("group.ended_jobs", group=self.place.group, count=len(jobs))

    def _is_of_group(self, job: Job) -> bool:
        return not job.local and cast("Ticket", job.origin).group == self.place.group


def disown(manager: ProcessManager, jobs: Sequence[Job]) -> None:
    """End jobs that are no longer this node's, at once: they may be running elsewhere."""
    for job in jobs:
        cast("Ticket", job.origin).disowned = True
        if job.execution is not None:
            manager.stop(job.id, signal.SIGKILL)
        else:
            manager.withdraw(job)


class Groups:
    """All groups that a node takes part in; renews their leases for the heartbeat."""

    def __init__(self, names: Sequence[str], parts: GroupParts) -> None:
        """Begin outside of them. To be called within a running event loop."""
        self._groups = [Group(name, parts) for name in dict.fromkeys(names)]
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._quiet = False
        self._asked: list[tuple[Group, int]] = []

    @property
    def names(self) -> list[str]:
        """Of the groups."""
        return [group.place.group for group in self._groups]

    async def run(self, make_intake: MakeIntake) -> None:
        """Take part in all of them; to be cancelled.

        Args:
            make_intake: makes the way in from a group's list.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        if not self._groups:
            return
        parts = [asyncio.create_task(group.run(make_intake)) for group in self._groups]
        try:
            await asyncio.gather(*parts)
        finally:
            await end(parts, _END_PATIENCE)

    async def settled(self) -> None:
        """Return when nothing is being admitted any more; to be awaited after `run` was ended."""
        for group in self._groups:
            await group.settled()

    async def go_quiet(self) -> None:
        """Have no more commands claimed.

        Raises:
            StoreError: Redis cannot be reached.
        """
        self._quiet = True
        if self._groups:
            await self._parts.groups.go_quiet(self._places(), self._parts.lease_ms)

    async def leave(self) -> None:
        """Give the leases back, at the end.

        Raises:
            StoreError: Redis cannot be reached; they end by themselves.
        """
        for group in self._groups:
            group.held = False
        if self._groups:
            await self._parts.groups.leave(self._places())

    def disown(self, jobs: Sequence[Job]) -> None:
        """End jobs of groups whose lease was found to be lost."""
        disown(self._parts.manager, jobs)
        names = {cast("Ticket", job.origin).group for job in jobs}
        for group in self._groups:
            if group.place.group in names:
                group.lose(group.joined)

    def places(self) -> list[Place]:
        """Those of the groups whose lease is held."""
        return [group.place for group in self._groups if group.held]

    def _places(self) -> list[Place]:
        return [group.place for group in self._groups]

    # -- renewal, in the heartbeat's thread ---------------------------------------------------

    def calls(self) -> list[Call]:
        """Make the commands that renew the leases."""
        self._asked = [(group, group.joined) for group in self._groups if group.held]
        lease_ms, quiet = self._parts.lease_ms, self._quiet
        return [renewal(group.place, lease_ms, quiet=quiet) for group, _ in self._asked]

    def heard(self, answers: list[Any]) -> None:
        """Take the answers: what was lost is told to the event loop."""
        for (group, joined), answer in zip(self._asked, answers, strict=True):
            if answer == 1:
                group.renewed(joined)
            elif answer == 0:
                self._loop.call_soon_threadsafe(group.lose, joined)
            else:
                _log.error("group.refused", group=group.place.group, reason=str(answer))
