"""Settles what one node has left that is away, step by step; each may be repeated.

A result is written only if there is none; the node's keys are changed only while it is away. After
a crash between any two steps the rest is found by the next reaper, or by the node's next agent:

1. an expired command is moved off its list, into what is claimed
2. the result of a claimed command is written
3. the command is forgotten
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from corex_node.absentees import Absentee, Remains
from corex_node.faults import FAULTS, REAP_FINISHED, REAP_MOVED
from corex_node.finishes import finish_of
from corex_node.inbound import Inbound
from corex_node.manager.outcome import Outcome
from corex_node.reaped import Manner
from corex_node.reaper_store import ReaperStore
from corex_node.recovery import number_on
from corex_node.store import NodeStore
from corex_node.ticket import Source, claimed_field
from corex_node.verdicts import expiry_in, expiry_of, read, verdict_of
from corex_shared.finishing import PRESENT, REFUSED, WRITTEN
from corex_shared.models import Command, JobResult

_FRESH = 5.0
"""Seconds for which what was read of a node is acted upon: we may have been stopped meanwhile, for
so long that the node was back, and even its results are gone."""
_BREATH = 0.005
"""Seconds between steps through a list, for others to be served by Redis."""
_SETTLED = frozenset({WRITTEN, PRESENT, REFUSED})
"""Answers after which there is nothing left to write."""

_log = structlog.get_logger()


class AwayNoMore(Exception):
    """The node is there again, or another reaper is at work on it."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A command, and how it ends."""

    item: Inbound
    command: Command
    outcome: Outcome


class Settlement:
    """The affairs of one node.

    Attributes:
        remains: what is left, once `run` has returned.
        states: how many results were written, by their state.
    """

    def __init__(
        self, store: ReaperStore, jobs: NodeStore, manner: Manner, absentee: Absentee, stands: float
    ) -> None:
        """Prepare.

        Args:
            store: keys of the node.
            jobs: for the logs of its jobs.
            manner: how.
            absentee: whose affairs.
            stands: ms for which other reapers are kept away by each step.
        """
        self._store = store
        self._jobs = jobs
        self._manner = manner
        self._node = absentee.node
        self._seen = absentee.seen
        self._stands = stands
        self.remains = Remains(0)
        self.states: Counter[str] = Counter()

    async def run(self, now: float) -> None:
        """Go through all that the node has left, at the server's time `now` in ms.

        Raises:
            AwayNoMore: the rest is for others.
            StoreError: Redis is away, or refuses.
        """
        self.remains = Remains(now)
        await self._settle_claimed()
        lengths = [await self._settle_list(source) for source in Source]
        self.remains.sizes = (0, *lengths)

    # -- what it has claimed ------------------------------------------------------------------

    async def _settle_claimed(self) -> None:
        cursor = b""
        while cursor != b"0":
            began = time.monotonic()
            part = await self._store.claimed(self._node, self._seen, self._stands, cursor or b"0")
            if part is None:
                raise AwayNoMore
            await self._judge(part.entries, part.now, began)
            cursor = part.cursor

    async def _judge(self, entries: Mapping[bytes, bytes], now: float, began: float) -> None:
        """Settle what can be, of some entries of the claimed hash; take note of the others."""
        sentences: list[_Sentence] = []
        for field, value in entries.items():
            item = read(field, value)
            if item is None or item.command is None:
                continue
            outcome = verdict_of(item, now, self._manner.by)
            if outcome is not None:
                sentences.append(_Sentence(item, item.command, outcome))
            elif (expiry := expiry_of(item)) is not None:
                self.remains.may_expire(expiry)
        if not sentences:
            return
        await number_on(self._jobs, [each.item for each in sentences])
        results = [self._result(each) for each in sentences]
        if time.monotonic() - began > _FRESH:
            raise AwayNoMore
        await self._execute(sentences, results)

    def _result(self, sentence: _Sentence) -> JobResult:
        item, ticket = sentence.item, sentence.item.ticket
        # Whoever holds the job under this claim holds it no more (lua/finish.lua).
        ticket.unaccepted = ticket.claim(self._node)
        return self._manner.result(self._node, item, sentence.command, sentence.outcome)

    async def _execute(self, sentences: Sequence[_Sentence], results: Sequence[JobResult]) -> None:
        """Write results, then forget the commands."""
        tickets = [sentence.item.ticket for sentence in sentences]
        finishes = [
            finish_of(ticket, result, time.time_ns())
            for ticket, result in zip(tickets, results, strict=True)
        ]
        answers = await self._store.finish(self._node, finishes, self._manner.retention_ms)
        FAULTS.reach(REAP_FINISHED)
        claims: list[tuple[str, str]] = []
        events: list[bytes] = []
        for ticket, result, answer in zip(tickets, results, answers, strict=True):
            if answer == WRITTEN:
                self.states[result.state] += 1
                events.append(self._manner.event(result))
            elif answer != PRESENT:
                _log.warning("reaper.not_written", job=result.id, node=self._node, answer=answer)
            if answer in _SETTLED:
                claims.append((ticket.field, ticket.claim(self._node)))
        if not await self._store.conclude(self._node, claims, events):
            raise AwayNoMore

    # -- what is in its lists -----------------------------------------------------------------

    async def _settle_list(self, source: Source) -> int:
        """Settle the commands of a list that have expired; return how many others it has."""
        at, ended = 0, False
        while not ended:
            step = await self._store.listed(self._node, source, self._seen, self._stands, at)
            if step is None:
                raise AwayNoMore
            at, ended = step.next, step.ended
            expired: dict[int, bytes] = {}
            for index, payload in step.found.items():
                expiry = expiry_in(payload)
                if expiry is None:
                    continue
                if expiry <= step.now:
                    expired[index] = payload
                else:
                    self.remains.may_expire(expiry)
            if expired:
                at -= await self._expire(source, expired, step.now)
            await asyncio.sleep(_BREATH)
        return at

    async def _expire(self, source: Source, expired: dict[int, bytes], now: float) -> int:
        """Settle expired commands, by their index in a list; return how many were in it."""
        began = time.monotonic()
        moved = await self._store.move(self._node, source, expired)
        if moved is None:
            raise AwayNoMore
        FAULTS.reach(REAP_MOVED)
        entries = {
            claimed_field(source, number).encode(): payload for number, payload in moved.items()
        }
        await self._judge(entries, now, began)
        return len(moved)
