"""Settles what nodes that are gone have left claimed in a group. Every node of the group does so.

* Removes members whose leases are over; after that their late writes are refused.
* What had not started, or may be retried, goes back to the left of the group's list, in order.
* What ran is LOST: the result is written as if by its own node.
* Looks at this node's own commands too: one that its agent knows nothing of, for long, was taken
  over by somebody who then found the node back, or died.

Any number may be at it at once, and each may die between any two steps: a job is taken over only
from the holder that was seen before its node was seen to be gone, and its command stays in the
claimed hash until all else is done.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from corex_node.faults import FAULTS, TAKEN_OVER
from corex_node.finishes import finish_of
from corex_node.group_store import GroupStore, Left, Taking
from corex_node.inbound import Inbound
from corex_node.places import Place
from corex_node.reaped import Manner
from corex_node.records import Held
from corex_node.recovery import inbound_of, number_on, parse_entry
from corex_node.rules import is_lost
from corex_node.store import NodeStore
from corex_node.verdicts import lost
from corex_shared.errors import StoreError
from corex_shared.finishing import PRESENT, WRITTEN
from corex_shared.models import Command, JobResult

_AT_ONCE = 100
"""Commands that are settled in one go."""
_TAKEN, _HAS_RESULT, _NOT_THE_IDS, _HANDED_ON = 1, 2, 0, 3

_log = structlog.get_logger()

Conclusion = Callable[[Place, str, Sequence[Held]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A command that somebody has left."""

    left: Left
    item: Inbound

    @property
    def ended(self) -> Command | None:
        """The command, if it ran and may not run again."""
        command = self.item.command
        return command if command is not None and is_lost(command, self.item.was) else None

    def held(self, group: str) -> Held:
        """Where it is."""
        return Held(group, self.left.field, self.left.claim)


class GroupReaper:
    """Settles what is left in one group."""

    def __init__(
        self,
        place: Place,
        store: GroupStore,
        jobs: NodeStore,
        manner: Manner,
        lease: float,
        known: Callable[[], Collection[str]],
    ) -> None:
        """Connect the parts.

        Args:
            place: the group's.
            store: its keys, and those of its jobs.
            jobs: for the logs of its jobs.
            manner: how to settle.
            lease: of the members, in seconds.
            known: tells the fields of the group's hash that this agent knows of.
        """
        self._place = place
        self._store = store
        self._jobs = jobs
        self._manner = manner
        self._lease = lease
        self._known = known
        self._suspects: set[Left] = set()

    async def run(self, is_steady: Callable[[], bool]) -> None:
        """Look, time and again; to be cancelled.

        Args:
            is_steady: tells whether this node itself has been heard by Redis for long enough: if
                others were not, it is they who are gone then, and not Redis that was.
        """
        while True:
            await asyncio.sleep(self._lease / 2 * random.uniform(0.75, 1.25))
            if not is_steady():
                self._suspects.clear()
                continue
            try:
                await self._look()
            except StoreError as error:
                _log.warning("group.reaper_away", group=self._place.group, reason=str(error))
            except Exception:  # noqa: BLE001 - whatever it is, this agent's own jobs go on
                _log.exception("group.reaper_failed", group=self._place.group)

    async def settle_own(self) -> int:
        """Settle what this node has claimed in the group and knows nothing of; return how much.

        Raises:
            StoreError: Redis cannot be reached; call again.
        """
        own = [left for left in await self._store.look(self._place) if self._is_stray(left)]
        await self._settle(self._manner.by, own)
        return len(own)

    async def _look(self) -> None:
        over = await self._store.sweep(self._place)
        if over is None:
            return
        for member in over:
            _log.warning("group.member_gone", group=self._place.group, member=member)
        by_node: dict[str, list[Left]] = defaultdict(list)
        for left in await self._store.look(self._place):
            by_node[left.node].append(left)
        own = {left for left in by_node.pop(self._manner.by, ()) if self._is_stray(left)}
        # What is being admitted just now is known a moment later.
        strays, self._suspects = own & self._suspects, own
        await self._settle(self._manner.by, [left for left in strays if self._is_stray(left)])
        for node, lefts in by_node.items():
            await self._settle(node, lefts)

    def _is_stray(self, left: Left) -> bool:
        return left.node == self._manner.by and left.field not in self._known()

    # -- one node -----------------------------------------------------------------------------

    async def _settle(self, node: str, lefts: Sequence[Left]) -> None:
        """Settle commands that a node has left, the last first: each goes before those behind."""
        lefts = sorted(lefts, key=lambda left: left.number)
        for end in range(len(lefts), 0, -_AT_ONCE):
            orphans = await self._read(lefts[max(0, end - _AT_ONCE) : end])
            if not await self._settle_some(node, orphans):
                _log.info("group.node_back", group=self._place.group, node=node)
                return
        if lefts:
            _log.warning("group.settled", group=self._place.group, node=node, count=len(lefts))

    async def _read(self, lefts: Sequence[Left]) -> list[_Orphan]:
        """Read commands; one that has changed hands or stage meanwhile is another's."""
        values = await self._store.entries(self._place, [left.field for left in lefts])
        orphans: list[_Orphan] = []
        for left, value in zip(lefts, values, strict=True):
            entry = parse_entry(left.field.encode(), value) if value is not None else None
            if entry is None or (entry.node, entry.number) != (left.node, left.number):
                continue
            orphans.append(_Orphan(left, inbound_of(entry, group=self._place.group)))
        return orphans

    async def _settle_some(self, node: str, orphans: Sequence[_Orphan]) -> bool:
        """Settle some commands of a node.

        Returns:
            False when the node turns out to be back.
        """
        answers = await self._take_over(node, orphans)
        if answers is None:
            return False
        FAULTS.reach(TAKEN_OVER)
        lost, back, done = [], [], []
        for orphan, answer in zip(orphans, answers, strict=True):
            if answer == _HAS_RESULT:
                done.append(orphan)
            elif answer == _TAKEN and orphan.ended is not None:
                lost.append(orphan)
            elif answer in (_TAKEN, _NOT_THE_IDS, _HANDED_ON):
                back.append(orphan)
        done += await self._write_lost(node, lost)
        gone = "" if node == self._manner.by else node
        return await self._conclude(self._store.give_back, gone, back) and await self._conclude(
            self._store.release, gone, done
        )

    async def _take_over(self, node: str, orphans: Sequence[_Orphan]) -> list[int] | None:
        """Take jobs over; None when their node is back.

        In this order: a holder that is seen before its node is seen to be gone is gone too.
        """
        named = [orphan for orphan in orphans if orphan.item.job_id is not None]
        holders = await self._store.holders([orphan.item.job_id or "" for orphan in named])
        if node != self._manner.by and node in await self._store.nodes(self._place):
            return None
        takings = [
            Taking(orphan.item.job_id or "", orphan.left.claim, holder, orphan.ended is None)
            for orphan, holder in zip(named, holders, strict=True)
        ]
        answers = iter(await self._store.take_over(takings))
        # A payload without an ID is nobody's job.
        return [_TAKEN if orphan.item.job_id is None else next(answers) for orphan in orphans]

    async def _conclude(self, step: Conclusion, gone: str, orphans: Sequence[_Orphan]) -> bool:
        held = [orphan.held(self._place.group) for orphan in orphans]
        return await step(self._place, gone, held) if held else True

    # -- results ------------------------------------------------------------------------------

    async def _write_lost(self, node: str, orphans: Sequence[_Orphan]) -> list[_Orphan]:
        """Write the results of commands that ran; return those that have one now."""
        if not orphans:
            return []
        await number_on(self._jobs, [orphan.item for orphan in orphans])
        results = [self._result(node, orphan) for orphan in orphans]
        finishes = [
            finish_of(orphan.item.ticket, result, time.time_ns())
            for orphan, result in zip(orphans, results, strict=True)
        ]
        answers = await self._store.finish(node, finishes, self._manner.retention_ms)
        written = zip(results, answers, strict=True)
        events = [self._manner.event(end) for end, answer in written if answer == WRITTEN]
        await self._store.tell(events)
        return [
            orphan
            for orphan, answer in zip(orphans, answers, strict=True)
            if answer in (WRITTEN, PRESENT)
        ]

    def _result(self, node: str, orphan: _Orphan) -> JobResult:
        command = orphan.ended
        assert command is not None, "only what ran has an end here"
        return self._manner.result(node, orphan.item, command, lost(self._manner.by))
