"""Claims commands off one list, of the node or of a group, and has them admitted.

* Waits, on the server, until there is a command; not at all while there is no room for one.
* Claims as many as there is room for: in the same round trip, or, where several lists share the
  room, in turn with the others and by what room there is after the wait.
* After an answer that was lost, first finds what may have been claimed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from corex_node import inbound
from corex_node.admission import Admission
from corex_node.faults import CLAIMED, FAULTS
from corex_node.inbound import Inbound
from corex_node.numbers import ClaimNumbers
from corex_node.places import Place
from corex_node.reconciler import Reconciler
from corex_node.refusals import REFUSALS
from corex_node.room import Room
from corex_node.store import NodeStore
from corex_shared.errors import StoreError, StoreRefusedError

_CUT_FACTOR = 8
"""Payloads up to this many times the limit are read whole, to find their ID."""
_REFUSED_PAUSE = 0.5
"""Seconds after a claim that was refused for want of the lease."""
_GATHER = 0.03
"""Seconds that a busy node waits for more room than one slot, so that claims are not of one."""
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 1.0
_AT_ONCE = 2
"""Batches on their way: one is admitted while the next is claimed."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What all intakes of an agent work with.

    Attributes:
        store: Redis.
        admission: gets what was claimed.
        reconciler: brings Redis and the agent to agree after a break.
        numbers: of the node's claims.
        payload_limit: largest command, in bytes.
    """

    store: NodeStore
    admission: Admission
    reconciler: Reconciler
    numbers: ClaimNumbers
    payload_limit: int


class Intake:
    """One list's way in."""

    def __init__(
        self, place: Place, room: Room, parts: IntakeParts, turn: asyncio.Lock | None = None
    ) -> None:
        """Connect the parts; `run` does the work.

        Args:
            place: the list, and where its commands are once they are claimed.
            room: bounds what is claimed.
            parts: that it shares with others.
            turn: of those who share the room; None for one who has it alone.
        """
        self._place = place
        self._room = room
        self._turn = turn
        self._store = parts.store
        self._admission = parts.admission
        self._reconciler = parts.reconciler
        self._numbers = parts.numbers
        self._payload_limit = parts.payload_limit
        self._rounds = 0
        self._admitting: set[asyncio.Task[None]] = set()
        self._pause = 0.0
        self._away = False

    async def run(self) -> None:
        """Claim and admit; to be cancelled.

        Raises:
            LeaseLostError: another agent serves the node.
            GroupLostError: the node no longer takes part in the group.
        """
        while True:
            try:
                if self._pause:
                    await self._recover()
                if self._rounds != self._reconciler.rounds:
                    await self._adopt_unfiled()
                await self._claim_once()
            except StoreError as error:
                self._fall_back(error)

    async def settled(self) -> None:
        """Return when nothing is being admitted any more; to be awaited after `run` was ended.

        Half-admitted commands would be taken for lost.
        """
        if self._admitting:
            await asyncio.wait(self._admitting)
        for task in self._admitting:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("intake.left", source=self._place.name, reason=str(error))

    def _fall_back(self, error: StoreError) -> None:
        """Have the next turn wait, and look for what was claimed without our knowing."""
        if isinstance(error, StoreRefusedError):  # and would be again, at once
            REFUSALS.say(error, f"intake {self._place.name}")
            self._pause = _LONGEST_RETRY
            return
        if not self._away:
            _log.warning("intake.away", source=self._place.name, reason=str(error))
        self._away = True
        self._pause = min(max(self._pause * 2, _FIRST_RETRY), _LONGEST_RETRY)

    async def _recover(self) -> None:
        await asyncio.sleep(self._pause)
        await self._await_admissions(0)
        await self._reconciler.compare()
        await self._adopt_unfiled()
        if self._away:
            _log.info("intake.back", source=self._place.name)
        self._away = False
        self._pause = 0.0

    async def _claim_once(self) -> None:
        most = await self._wait_for_room()
        if most < 1:
            return
        if self._turn is None:
            payloads = await self._claim(most, wait=True)
        else:
            async with self._turn:  # so that what room there is, is taken once
                most = self._room.free()
                payloads = await self._claim(most, wait=False) if most else None
            if payloads == [] and self._room.free():
                await self._store.wait_for_commands(self._place)
        if payloads is None and most:
            await asyncio.sleep(_REFUSED_PAUSE)
        await self._await_admissions(_AT_ONCE - 1)

    async def _claim(self, most: int, *, wait: bool) -> list[bytes | tuple[bytes, int]] | None:
        """Claim, and have what was claimed admitted; None when this agent may not claim."""
        number = self._numbers.reserve(most)
        cap = self._payload_limit * _CUT_FACTOR
        payloads = await self._store.claim(self._place, most, number, cap, wait=wait)
        if payloads:
            FAULTS.reach(CLAIMED)
            self._admit([self._read(payload, number + at) for at, payload in enumerate(payloads)])
        return payloads

    def _admit(self, batch: list[Inbound]) -> None:
        """Begin to admit a batch; its jobs have their places, in order, when this returns."""
        task = asyncio.create_task(self._admission.admit(batch))
        self._admitting.add(task)

    async def _await_admissions(self, most: int) -> None:
        """Return when no more than `most` batches are being admitted.

        Raises:
            StoreError: one could not be admitted; what is claimed of it will be found.
            LeaseLostError: another agent serves the node.
            GroupLostError: the node no longer takes part in the group.
        """
        while len(self._admitting) > most:
            await asyncio.wait(self._admitting, return_when=asyncio.FIRST_COMPLETED)
            self._collect()
        self._collect()

    def _collect(self) -> None:
        for task in [task for task in self._admitting if task.done()]:
            self._admitting.discard(task)
            task.result()

    async def _wait_for_room(self) -> int:
        """Wait for room; a busy node for a moment more, to claim several commands at once."""
        enough = max(1, self._room.size // 3)
        if self._room.free() < enough:
            await self._room.wait(1)
            try:
                async with asyncio.timeout(_GATHER):
                    await self._room.wait(enough)
            except TimeoutError:
                pass
        return self._room.free()

    async def _adopt_unfiled(self) -> None:
        """Admit what is claimed without our knowing.

        An answer was lost, or Redis has forgotten that the command was filed.
        """
        self._rounds = self._reconciler.rounds
        await self._await_admissions(0)
        prefix = self._place.prefix.encode()
        found = await self._store.claimed(self._place.group)
        known = self._admission.known_fields(self._place.group)
        unfiled = sorted(
            int(field[len(prefix) :])
            for field in found
            if field.startswith(prefix) and field.decode() not in known
        )
        if unfiled:
            _log.info("intake.adopted", source=self._place.name, count=len(unfiled))
            self._admit([self._read(found[prefix + b"%d" % number], number) for number in unfiled])
            await self._await_admissions(0)

    def _read(self, payload: bytes | tuple[bytes, int], number: int) -> Inbound:
        place = self._place
        return inbound.read(
            payload,
            place.source,
            number,
            self._payload_limit,
            place.field(number),
            None,
            place.group,
        )
