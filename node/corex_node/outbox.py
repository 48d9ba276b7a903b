"""Brings messages and results to Redis.

* Takes messages and results from the process manager, at once and without waiting.
* Writes all that waits in one round trip; while that is under way, the next batch gathers.
* Repeats a batch, unchanged, until Redis has taken it. Results are never dropped; output is,
  oldest first and counted, when Redis is away and more gathers than is to be held.
* Holds the readers of output up when Redis is there but slower than the jobs.
* Forgets a command (in the claimed hash) only when its result is known to be written, and only
  then tells the fleet that its job has finished.
* Takes events along with what it writes; they never hold a result up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import structlog
from msgspec import Struct

from corex_node.backlog import Backlog, JobBacklog
from corex_node.events import Events, Finished
from corex_node.faults import ENDED, FAULTS, FINISHED, RELEASED
from corex_node.finishes import finish_of
from corex_node.ledger import End, Ledger
from corex_node.manager.jobs import Job
from corex_node.patience import until_available
from corex_node.records import Emission, Held
from corex_node.store import NodeStore
from corex_node.ticket import LogWindow, Ticket
from corex_shared import codec
from corex_shared.errors import StoreError
from corex_shared.finishing import PRESENT, STALE, TAKEN, WRITTEN, Finish
from corex_shared.models import JobResult, Message
from corex_shared.states import Flag

_JOIN_WITHIN = 0.002
"""Seconds for which results of a busy node wait for others."""
_FORGET_WITHIN = 0.05
"""Seconds for which finished commands stay claimed, and events untold, for want of anything else to
write."""
_MOST_RESULTS = 500
"""Results written at once: one script may not hold up the server for long."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds in bytes, but for `retention_ms` (how long results live).

    Attributes:
        held: output that waits at most while Redis is away.
        high: output that waits before jobs are held up.
        log_bytes: kept of a job's log.
        retention_ms: of results, states and logs after the end.
    """

    held: int
    high: int
    log_bytes: int
    retention_ms: int


class _Ended(Struct):
    """A result that waits to be written, and what is told of it then."""

    ticket: Ticket
    result: JobResult
    event: Finished | None


@dataclass(slots=True)
class _Batch:
    """What one round trip writes; never changed once it is made."""

    emissions: list[Emission] = field(default_factory=list)
    node_messages: list[bytes] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    finishes: list[Finish] = field(default_factory=list)
    released: list[Held] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)  # of the finishes
    again: int = 0  # the last so many of the finishes are told again
    ends: list[Finished | None] = field(default_factory=list)  # what is told of them


class Outbox:
    """The sink of a process manager that writes to Redis."""

    def __init__(self, store: NodeStore, node: str, limits: OutboxLimits, events: Events) -> None:
        """Begin empty."""
        self._store = store
        self._node = node
        self._limits = limits
        self._events = events
        events.on_first = self._take_note
        self._backlog = Backlog()
        self._ended: list[_Ended] = []
        self._release: list[Held] = []
        self._again: list[End] = []
        self._undelivered: dict[str, Ticket] = {}
        # Of claimed hashes, each with its group, until they are known to be gone.
        self._fields: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = False
        self._held_up = False
        self.ledger = Ledger(time.monotonic, limits.retention_ms / 1000)
        self._pruning: asyncio.TimerHandle | None = None
        self.is_busy: Callable[[], bool] = lambda: False
        self.on_away: Callable[[], None] = lambda: None
        self.on_relief: Callable[[], None] = lambda: None
        self.on_taken: Callable[[list[Ticket]], Awaitable[None]] | None = None

    # -- sink ---------------------------------------------------------------------------------

    def message(self, job: Job, level: int, text: str, *, whole: bool) -> None:
        """Take a message; a `whole` one is joined with no other."""
        self._backlog.add(job.id, cast("Ticket", job.origin), level, text, whole=whole)
        if self._away and self._backlog.size > self._limits.held:
            lost = self._backlog.shrink(self._limits.held)
            _log.warning("output.dropped", characters=lost, node=self._node)
        self._stir()

    def congested(self) -> bool:
        """Whether jobs are to be held up: Redis is there, and slower than they are."""
        if self._away or self._backlog.size < self._limits.high:
            return False
        self._held_up = True
        return True

    def finished(self, job: Job, result: JobResult) -> None:
        """Take the result of a job."""
        FAULTS.reach(ENDED)
        ticket = cast("Ticket", job.origin)
        if not ticket.disowned:
            self.settle(ticket, result, job.killed_by)

    def event(self, kind: str, job: Job, fields: Mapping[str, object]) -> None:
        """Take an event in the life of a job: the end of one run of several."""
        self._events.run(kind, job, fields)

    # -- for those who settle commands that never became jobs ----------------------------------

    def settle(self, ticket: Ticket, result: JobResult, killed_by: str = "") -> None:
        """Take a result; of a job that was killed, with who asked for it."""
        event = self._events.end_of(ticket, result, killed_by)
        self._ended.append(_Ended(ticket, result, event))
        self._undelivered[result.id] = ticket
        self._fields.add((ticket.group, ticket.field))
        self._stir()

    def release(self, commands: list[Held]) -> None:
        """Forget claimed commands whose result is written already."""
        self._release += commands
        self._fields.update((held.group, held.field) for held in commands)
        self._stir()

    def tell_again(self) -> int:
        """Write all ends anew that Redis took lately, in case it has forgotten; tell how many."""
        self.ledger.prune()
        waiting = {finish.job_id for _, finish in self._again}
        more = [end for end in self.ledger if end[1].job_id not in waiting]
        self._again += more
        if more:
            self._stir()
        return len(more)

    def is_undelivered(self, job_id: str) -> bool:
        """Whether a job's result still waits."""
        return job_id in self._undelivered

    def ticket_of(self, job_id: str) -> Ticket | None:
        """Find the ticket of a job whose result waits, or was written lately."""
        return self._undelivered.get(job_id) or self.ledger.ticket_of(job_id)

    def settling(self, group: str = "") -> set[str]:
        """Fields of a claimed hash that are there only until the outbox has removed them."""
        return {field for of_group, field in self._fields if of_group == group}

    @property
    def backlog(self) -> int:
        """Results that wait."""
        return len(self._undelivered)

    async def flushed(self) -> None:
        """Return when nothing waits any more; the caller bounds the wait."""
        await self._idle.wait()

    # -- component ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write whatever comes; to be cancelled."""
        while True:
            await self._gather()
            batch = self._make_batch()
            taken = await self._write(batch)
            if taken and self.on_taken is not None:
                await self.on_taken(taken)
            for ticket in taken:
                ticket.inbound = None
            self._fields.difference_update((ticket.group, ticket.field) for ticket in taken)
            self._relieve()

    async def _gather(self) -> None:
        """Return when there is something to write.

        The first result after a quiet time is written at once; on a busy node others may join it.
        What is only to be forgotten or told waits a while for something to go along with.
        """
        until = None
        while not (self._backlog or self._ended or self._again):
            if not (self._release or self._events):
                self._idle.set()
            elif until is None:
                until = asyncio.get_running_loop().time() + _FORGET_WITHIN
            self._wake.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                return
        if self.is_busy():
            await asyncio.sleep(_JOIN_WITHIN)

    def _stir(self) -> None:
        self._idle.clear()
        self._wake.set()

    def _take_note(self) -> None:
        """See that an event is told, if nothing else is written meanwhile."""
        if self._idle.is_set():
            self._stir()

    def _relieve(self) -> None:
        if self._held_up and self._backlog.size < self._limits.high // 2:
            self._held_up = False
            self.on_relief()

    async def _write(self, batch: _Batch) -> list[Ticket]:
        """Write a batch, as often as it takes; return those whose ID is another command's."""
        answers = await until_available(
            lambda: self._store.settle(
                batch.emissions,
                batch.node_messages,
                batch.events,
                batch.finishes,
                batch.released,
                self._limits.retention_ms,
            ),
            self._gone,
        )
        if self._away:
            self._away = False
            _log.info("outbox.back", waiting=self.backlog)
        return self._conclude(batch, answers)

    def _gone(self, error: StoreError, _: float) -> None:
        """Redis is away: jobs go on, and are no longer held up for it."""
        if not self._away:
            _log.warning("outbox.away", reason=str(error), waiting=self.backlog)
        self._away = True
        self.on_away()
        if self._held_up:
            self._held_up = False
            self.on_relief()

    def _conclude(self, batch: _Batch, answers: list[int]) -> list[Ticket]:
        if batch.finishes:
            FAULTS.reach(FINISHED)
        if batch.released:
            FAULTS.reach(RELEASED)
        taken: list[Ticket] = []
        written: list[End] = []
        told = zip(batch.tickets, batch.finishes, batch.ends, answers, strict=True)
        first = len(batch.finishes) - batch.again
        for at, (ticket, end, event, answer) in enumerate(told):
            is_again = at >= first
            if not is_again:
                self._undelivered.pop(end.job_id, None)
            if answer == TAKEN and not is_again:
                taken.append(ticket)
                continue
            ticket.inbound = None  # it holds the ticket, a cycle, and all that came
            if answer in (WRITTEN, PRESENT):
                written.append((ticket, end))
                if event is not None:
                    self._events.add(event)
            elif self._is_others(ticket, end, answer, is_again=is_again):
                continue
            claim = ticket.claim(self._node) if ticket.group else ""
            self._release.append(Held(ticket.group, ticket.field, claim))
        self.ledger.add(written)
        self._prune_later()
        self._fields.difference_update((held.group, held.field) for held in batch.released)
        return taken

    def _is_others(self, ticket: Ticket, end: Finish, answer: int, *, is_again: bool) -> bool:
        """Take note of a result that was refused; tell whether its claim is others' to end."""
        # A command of its ID that comes now is no copy of ours: others have handed it on.
        self.ledger.forget(end.job_id)
        if is_again:  # Redis had taken it: whoever waited for it has heard of it
            say, event = _log.info, "result.not_taken_again"
        else:
            say, event = _log.error, "result.refused"
        say(event, job=end.job_id, answer=answer, state=end.state)
        if answer == STALE and ticket.group:
            # Whoever took the job over may have died before he gave its command back.
            self._fields.discard((ticket.group, ticket.field))
            return True
        return False

    def _prune_later(self) -> None:
        """See that a ledger to which nothing is added does not keep what is old."""
        if self._pruning is None and self.ledger:
            self._pruning = asyncio.get_running_loop().call_later(self.ledger.window, self._prune)

    def _prune(self) -> None:
        self._pruning = None
        self.ledger.prune()
        self._prune_later()

    # -- batches ------------------------------------------------------------------------------

    def _make_batch(self) -> _Batch:
        batch = _Batch()
        for job in self._backlog.take():
            self._add_messages(batch, job)
        ended, self._ended = self._ended[:_MOST_RESULTS], self._ended[_MOST_RESULTS:]
        for end in ended:
            batch.finishes.append(finish_of(end.ticket, end.result, time.time_ns()))
            batch.tickets.append(end.ticket)
            batch.ends.append(end.event)
        room = _MOST_RESULTS - len(batch.finishes)
        again, self._again = self._again[:room], self._again[room:]
        batch.again = len(again)
        for ticket, finish in again:
            batch.finishes.append(finish)
            batch.tickets.append(ticket)
            batch.ends.append(None)
        batch.events = self._events.take()
        batch.released, self._release = self._release, []
        return batch

    def _add_messages(self, batch: _Batch, job: JobBacklog) -> None:
        ticket = job.ticket
        numbered: list[tuple[int, bytes]] = []
        for pending in job.take():
            flags = Flag.STREAM if ticket.streams else 0
            message = Message(
                job.job_id,
                self._node,
                ticket.take_seq(),
                pending.level,
                flags,
                pending.text,
                pending.epoch,
            )
            payload = codec.encode(message, ticket.encoding)
            if ticket.streams:
                numbered.append((message.seq, payload))
                self._window(ticket).append(len(payload))
            if pending.level in ticket.levels:
                batch.node_messages.append(payload)
        if numbered:
            batch.emissions.append(Emission(job.job_id, self._window(ticket).first, numbered))

    def _window(self, ticket: Ticket) -> LogWindow:
        if ticket.window is None:
            ticket.window = LogWindow(self._limits.log_bytes)
        return ticket.window
