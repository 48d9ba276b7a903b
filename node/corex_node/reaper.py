"""Finds nodes that do not come back, and has their jobs settled. Every agent has one.

* Looks at the list of nodes, seldom and cheaply. One whose lease is over, and that stays silent for
  a while in which Redis would have heard it, is away.
* What ran there is LOST, unless it says `retry`. What had not started waits for the node, or
  EXPIRES: what it had claimed as well as what is in its lists (see `settlement`).
* One reaper at a time works on a node, so that a fleet does not do everything a thousand times; but
  any number may, and none needs to be there.
* Takes a node that has been gone for a week, and has left nothing, off the list of nodes.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import structlog

from corex_node.absentees import Absentee, Absentees, Remains
from corex_node.patience import until_available
from corex_node.reaped import Manner
from corex_node.reaper_store import Begun, Present, ReaperStore, Taken
from corex_node.settlement import AwayNoMore, Settlement
from corex_node.store import NodeStore
from corex_shared.errors import (
    StoreError,
    StoreForbiddenError,
    StoreRefusedError,
    StoreUnavailableError,
)

_IN_VAIN = 8
"""Looks in one round at nodes where there is nothing to do; the others can wait for the next."""
_LONG_PAUSE = 600.0
"""Seconds after which something that was refused is tried again."""
_FORGET_AFTER = 7 * 24 * 3_600_000.0
"""Ms after which a node that left nothing is listed no more."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReaperLimits:
    """What a reaper goes by.

    Attributes:
        lease: seconds for which its own node's lease lasts, and others' do too.
        patience: seconds for which a node must stay silent after that; 0 to settle nothing.
    """

    lease: float
    patience: float


class Reaper:
    """Settles the jobs of nodes that are away."""

    def __init__(
        self,
        store: ReaperStore,
        jobs: NodeStore,
        manner: Manner,
        limits: ReaperLimits,
    ) -> None:
        """Connect the parts.

        Args:
            store: keys of other nodes.
            jobs: for the logs of their jobs.
            manner: how jobs of others are settled.
            limits: what it goes by.
        """
        self._store = store
        self._jobs = jobs
        self._manner = manner
        self._limits = limits
        self._patience = limits.patience * 1000
        self._absentees = Absentees(self._patience)
        # For as long as this a reaper that died keeps others away from a node.
        self._stands = self._patience + 1000
        self._warned = False

    async def run(self) -> None:
        """Look, and settle; to be cancelled. Returns at once when it is switched off."""
        if not self._patience:
            return
        # Agents that were started together do not look together.
        pause = self._limits.patience * random.random()
        while True:
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = await self._turn()

    async def _turn(self) -> float:
        """Look once, as soon as Redis is there; return how many seconds later to look again."""
        try:
            return await until_available(self._look, self._lost_contact)
        except Exception:  # noqa: BLE001 - whatever it is, this agent's own jobs go on
            _log.exception("reaper.failed")
            return _LONG_PAUSE

    def _lost_contact(self, _error: StoreError, _pause: float) -> None:
        self._absentees.lost_contact()

    async def _look(self) -> float:
        """Find nodes that are away, and settle what is due.

        Returns:
            Seconds until the next look.

        Raises:
            StoreUnavailableError: Redis is away; what was done is done.
        """
        try:
            silent = await self._store.silent(self._absentees.since, self._limits.lease * 1000)
            silent.nodes.pop(self._manner.by, None)
            self._absentees.heard(silent.now, silent.till, silent.nodes)
            await self._visit_due(silent.now)
        except StoreRefusedError as error:
            if not self._warned:
                _log.warning(
                    "reaper.refused",
                    reason=str(error),
                    meaning="this agent does not settle jobs of nodes that are gone",
                    again_in=_LONG_PAUSE,
                )
            self._warned = True
            return _LONG_PAUSE
        return self._absentees.pause(silent.now) / 1000

    async def _visit_due(self, now: float) -> None:
        due = self._absentees.due(now)
        random.shuffle(due)  # reapers begin at different ends
        in_vain = 0
        for absentee in due:
            in_vain += not await self._visit(absentee, now)
            if in_vain >= _IN_VAIN:
                return

    # -- one node -----------------------------------------------------------------------------

    async def _visit(self, absentee: Absentee, now: float) -> bool:
        """Settle a node's jobs, if there are any and they are ours to settle.

        Returns:
            Whether there was anything to do.

        Raises:
            StoreUnavailableError: Redis is away.
            StoreForbiddenError: this agent may not.
        """
        try:
            begun = await self._store.begin(absentee.node, absentee.seen, self._stands)
            if isinstance(begun, Begun):
                return await self._settle(absentee, begun)
            self._leave(absentee, begun)
        except AwayNoMore:
            self._absentees.put_off(absentee, now + self._stands, urgent=True)
        except (StoreForbiddenError, StoreUnavailableError):
            raise
        except Exception as error:  # noqa: BLE001 - other nodes are seen to
            if isinstance(error, StoreRefusedError):
                _log.warning("reaper.node_refused", node=absentee.node, reason=str(error))
            else:
                _log.exception("reaper.node_failed", node=absentee.node)
            self._absentees.put_off(absentee, now + _LONG_PAUSE * 1000, urgent=True)
        return False

    def _leave(self, absentee: Absentee, why: Present | Taken | None) -> None:
        """Put off a node at which there is nothing for us to do."""
        if why is None:
            self._absentees.drop(absentee)
        elif isinstance(why, Present):
            due = why.now + max(why.lease, 0) + self._patience
            self._absentees.put_off(absentee, due, urgent=True)
        else:
            at_work = why.stands <= self._stands
            due = why.now + why.stands + self._patience * random.random() / 4
            self._absentees.put_off(absentee, due, urgent=at_work)

    async def _settle(self, absentee: Absentee, begun: Begun) -> bool:
        """Settle what a node has left; tell whether there was anything to do.

        Raises:
            AwayNoMore: it is there again, or another reaper is at work.
        """
        remains = absentee.remains
        if remains is None:
            event = self._manner.lapsed(absentee.node, absentee.seen)
            await self._store.tell_lapsed(absentee.node, absentee.seen, event)
        if not any(begun.sizes):
            remains = Remains(begun.now, begun.sizes)
        if remains is not None and remains.are_known(begun.sizes, begun.now):
            await self._rest(absentee, remains, begun)
            return False
        work = Settlement(self._store, self._jobs, self._manner, absentee, self._stands)
        try:
            await work.run(begun.now)
        finally:
            if work.states:
                written = {state.lower(): count for state, count in work.states.items()}
                _log.warning("reaper.settled", node=absentee.node, **written)
        await self._rest(absentee, work.remains, begun)
        return True

    async def _rest(self, absentee: Absentee, remains: Remains, begun: Begun) -> None:
        """Let nobody look at a node for a while that was looked through."""
        absentee.remains = remains
        if not any(begun.sizes) and absentee.away(begun.now) > _FORGET_AFTER:
            await self._store.forget(absentee.node, absentee.seen)
            _log.info("reaper.forgot", node=absentee.node)
            self._absentees.drop(absentee)
            return
        rest = self._absentees.rest(absentee, begun.now)
        ended = await self._store.begin(absentee.node, absentee.seen, rest)
        if not isinstance(ended, Begun):
            self._leave(absentee, ended)
            return
        # Nobody adds to what is claimed; lists may have grown behind what was looked through.
        remains.sizes = (ended.sizes[0], *remains.sizes[1:])
        is_urgent = remains.earliest is not None
        self._absentees.put_off(absentee, ended.now + rest, urgent=is_urgent)
