"""From claimed payloads to jobs: each is accepted, refused with a result, or rejected.

A batch is one round trip: the IDs are accepted and the commands filed under them, with the stage
that each will have, before any of them starts.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import cast

import msgspec
import structlog
from msgspec import Struct

from corex_node.clock import ServerClock
from corex_node.events import Events
from corex_node.faults import ACCEPTED, FAULTS
from corex_node.inbound import Inbound
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.manager import ProcessManager
from corex_node.manager.outcome import Outcome, of_rejection, of_state
from corex_node.manager.registry import Entry, Kind
from corex_node.manager.results import result_unstarted
from corex_node.outbox import Outbox
from corex_node.patience import until_available
from corex_node.records import Acceptance, Filing, Held, Rejection
from corex_node.rejections import Rejections
from corex_node.rules import is_lost, levels_of, refusal_of
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket
from corex_shared import codec
from corex_shared.errors import StoreError
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState, Stage

_ACCEPTED, _SETTLED, _HANDED_ON, _OVERTAKEN = 1, 2, -1, -2
_BAD, _CONFLICT = 400, 409
_IN_USE = "id: it is in use or has a result"
_SHOWN_OF_PAYLOAD = 4096
"""Bytes of a rejected payload that its entry shows."""

_log = structlog.get_logger()


class _Admitted(Struct):
    """One payload of a batch on its way.

    Exactly one of `job` (to be run) and `refusal` (its result already) is set, but for a payload
    that no ID could be found in, which has neither.
    """

    inbound: Inbound
    job: Job | None = None
    refusal: JobResult | None = None
    is_duplicate: bool = False


class Admission:
    """Makes jobs of payloads."""

    def __init__(
        self,
        store: NodeStore,
        manager: ProcessManager,
        outbox: Outbox,
        clock: ServerClock,
        events: Events,
        node_levels: frozenset[int],
        rejected_kept: int,
    ) -> None:
        """Connect the parts.

        Args:
            store: Redis.
            manager: gets the jobs.
            outbox: gets the results of those that do not become jobs.
            clock: for `expires_at`.
            events: hear of what is accepted and has to wait, and of what is rejected.
            node_levels: levels that go to the node's log channel unless a command says otherwise.
            rejected_kept: entries of the rejected list.
        """
        self._store = store
        self._manager = manager
        self._outbox = outbox
        self._clock = clock
        self._events = events
        self._node_levels = node_levels
        self._rejected_kept = rejected_kept
        self._rejections = Rejections(rejected_kept)
        self.known_again: Callable[[str], Ticket | None] = lambda job_id: None
        self.may_come_again: Callable[[], bool] = lambda: False

    def known_fields(self, group: str = "") -> set[str]:
        """Fields of a claimed hash that belong to commands which were admitted."""
        tickets = [
            cast("Ticket", job.origin) for job in self._manager.jobs.values() if not job.local
        ]
        running = {ticket.field for ticket in tickets if ticket.group == group}
        return running | self._outbox.settling(group)

    def admit(self, batch: Sequence[Inbound]) -> Coroutine[None, None, None]:
        """Give each payload its place, now and in order, and settle what becomes of it.

        Returns:
            What is left to be awaited; jobs that can run are running afterwards. It waits for
            Redis as long as it takes, and raises `LeaseLostError` when another agent serves the
            node: nothing that is not settled was started then, and all of it is still claimed.
            So it is with `GroupLostError`, but that others may have taken it over by now.
        """
        placed = [self._place(inbound) for inbound in batch]
        return self._complete([item for item in placed if item is not None])

    async def reject_taken(self, tickets: list[Ticket]) -> None:
        """Reject commands that ran at once, and whose ID turned out to be another's."""
        await self._reject(
            [
                _Admitted(ticket.inbound, is_duplicate=True)
                for ticket in tickets
                if isinstance(ticket.inbound, Inbound)
            ]
        )

    async def reject_again(self) -> None:
        """Have what was rejected lately in the list, should the server have forgotten it.

        Raises:
            StoreError: Redis cannot be reached; call again.
        """
        lately = self._rejections.lately()
        if lately:
            await self._store.note_rejected(lately, self._rejected_kept)

    async def _complete(self, items: list[_Admitted]) -> None:
        if not items:
            return
        open_items = [
            item for item in items if not item.is_duplicate and item.inbound.job_id is not None
        ]
        try:
            answers = await self._tell_redis(open_items)
        except BaseException:
            for item in items:
                if item.job is not None:
                    self._manager.withdraw(item.job)
            raise
        FAULTS.reach(ACCEPTED)
        await self._count_on(open_items)
        for item, answer in zip(open_items, answers, strict=True):
            self._settle(item, answer)
        await self._reject([item for item in items if _is_rejected(item)])

    async def _count_on(self, items: list[_Admitted]) -> None:
        """Have jobs that may run several times remember the runs that others have seen."""
        jobs = [
            (item.job, item.inbound)
            for item in items
            if item.job is not None and item.job.policy is not None and _may_have_run(item.inbound)
        ]
        if not jobs:
            return
        ids = [job.id for job, _ in jobs]
        seen = await until_available(lambda: self._store.runs(ids))
        for (job, inbound), runs in zip(jobs, seen, strict=True):
            job.count_on(runs.begun + (inbound.was is Stage.RUNNING), runs.failed)

    # -- before Redis knows -------------------------------------------------------------------

    def _place(self, inbound: Inbound) -> _Admitted | None:
        """Give a payload its place; None when there is nothing left to do for it."""
        job_id, command = inbound.job_id, inbound.command
        known = self.known_again(job_id) if job_id is not None and inbound.was is None else None
        if known is not None and known.reply_to != inbound.ticket.reply_to:
            return _Admitted(inbound, is_duplicate=True)  # somebody else waits for an answer
        if known is not None:
            # Only this copy: under its ID is what protects the job that runs or waits.
            self._outbox.release(self._held(inbound)[:1])
            return None
        if job_id is not None and self._is_in_use(job_id):
            return _Admitted(inbound, is_duplicate=True)
        if command is None:
            return _Admitted(inbound, refusal=self._refuse_unread(inbound))
        entry = self._manager.registry.get(command.command)
        inbound.ticket.levels = self._levels(command, entry)
        refusal = self._refuse(command, entry, inbound.was)
        if refusal is not None or entry is None:
            outcome = refusal or of_state(JobState.UNKNOWN_CMD)
            return _Admitted(inbound, refusal=self._unstarted(command, outcome))
        ticket = inbound.ticket
        demand = Demand(ticket.streams, ticket.levels)
        control = ticket.source is Source.CONTROL
        at_once = _runs_at_once(command, entry)
        job = self._manager.place(command, entry, demand, ticket, control=control or at_once)
        if not at_once:
            return _Admitted(inbound, job=job)
        # Its ID is taken as its result is written: that saves a round trip.
        ticket.unaccepted, ticket.inbound = self._claim(inbound), inbound
        self._manager.admit(job)
        return None

    def _levels(self, command: Command, entry: Entry | None) -> frozenset[int]:
        """Levels of a command's messages that go to the node's log channel."""
        if entry is not None and entry.private:
            return frozenset()
        return levels_of(command, self._node_levels)

    def _is_in_use(self, job_id: str) -> bool:
        return job_id in self._manager.jobs or self._outbox.is_undelivered(job_id)

    def _refuse(self, command: Command, entry: Entry | None, was: Stage | None) -> Outcome | None:
        """Tell why a command is not to be run; None when it is."""
        if is_lost(command, was):
            return of_state(JobState.LOST, "the agent died while it ran")
        now_ms = self._clock.now_ms() if command.expires_at is not None else 0
        refusal = refusal_of(command, entry is not None, now_ms)
        return refusal.outcome if refusal is not None else None

    def _unstarted(self, command: Command, outcome: Outcome) -> JobResult:
        return result_unstarted(command, self._manager.node, outcome)

    def _unread(self, inbound: Inbound, outcome: Outcome) -> JobResult:
        """Make the result of a payload of which no more than the ID is known."""
        return result_unstarted(Command("", id=inbound.job_id), self._manager.node, outcome)

    def _refuse_unread(self, inbound: Inbound) -> JobResult | None:
        if inbound.job_id is None:
            return None
        return self._unread(inbound, of_rejection(str(inbound.error)))

    # -- Redis --------------------------------------------------------------------------------

    async def _tell_redis(self, items: list[_Admitted]) -> list[int]:
        acceptances = [self._acceptance(item) for item in items]
        # What may be repeated needs no stage, and is gone before its ID would be looked for.
        filings = [
            self._filing(item.inbound, item.job)
            for item in items
            if item.job is not None and not item.job.entry.repeatable
        ]
        return await until_available(lambda: self._store.admit(acceptances, filings))

    def _acceptance(self, item: _Admitted) -> Acceptance:
        # One that was withdrawn meanwhile has not finished: it is somebody else's to end.
        job = item.job
        stage = job.stage if job is not None and job.stage is not Stage.FINISHED else Stage.CLAIMED
        job_id, fresh = item.inbound.job_id or "", item.inbound.was is None
        group = item.inbound.ticket.group
        return Acceptance(job_id, self._claim(item.inbound), stage, fresh, group)

    def _filing(self, inbound: Inbound, job: Job) -> Filing:
        ticket = inbound.ticket
        return Filing(ticket.field, job.id, self._claim(inbound), job.stage, ticket.group)

    def _claim(self, inbound: Inbound) -> str:
        return inbound.ticket.claim(self._manager.node)

    # -- after Redis knows --------------------------------------------------------------------

    def _settle(self, item: _Admitted, answer: int) -> None:
        ticket = item.inbound.ticket
        if item.job is not None and answer == _ACCEPTED:
            if not item.job.entry.repeatable:
                ticket.field = item.job.id
            if item.job.stage is Stage.WAITING:
                self._events.accepted(item.job)
            self._manager.admit(item.job)
            return
        if item.job is not None:
            self._manager.withdraw(item.job)
        if answer in (_ACCEPTED, _SETTLED):
            self._disown(item.inbound)
        if answer == _ACCEPTED and item.refusal is not None:
            self._outbox.settle(ticket, item.refusal)
        elif answer == _SETTLED:
            self._outbox.release(self._held(item.inbound))
        elif answer not in (_HANDED_ON, _OVERTAKEN):  # the group's reapers see these through
            item.is_duplicate = True

    def _disown(self, inbound: Inbound) -> None:
        """Free the queue of a predecessor's job that does not go on, or its place there."""
        command, fleet = inbound.command, self._manager.lineup.fleet
        if inbound.was is None or command is None or fleet is None:
            return
        if command.queue is not None and command.queue_scope == "fleet":
            fleet.disown(command.queue, command.job_id)

    def _held(self, inbound: Inbound) -> list[Held]:
        """Where a claimed command may be: unfiled or filed."""
        ticket = inbound.ticket
        claim = self._claim(inbound) if ticket.group else ""
        return [Held(ticket.group, field, claim) for field in (ticket.field, inbound.job_id or "")]

    async def _reject(self, items: list[_Admitted]) -> None:
        """Put payloads into the rejected list, and tell the senders of duplicates."""
        if not items:
            return
        rejections = [self._rejection(item) for item in items]
        await until_available(lambda: self._store.reject(rejections, self._rejected_kept))
        for item, rejection in zip(items, rejections, strict=True):
            inbound = item.inbound
            self._rejections.add(inbound.payload, rejection)
            reason = str(inbound.error) if inbound.error else _IN_USE
            _log.warning("command.rejected", job=inbound.job_id, reason=reason)
            self._events.rejected(inbound, reason, _CONFLICT if item.is_duplicate else _BAD)
            if item.is_duplicate and inbound.ticket.reply_to:
                result = codec.encode(self._duplicate(inbound), inbound.ticket.encoding)
                await self._tell(inbound.ticket.reply_to, result)

    async def _tell(self, client: str, result: bytes) -> None:
        """Tell a client's inbox; a key there that is no inbox costs the client the news."""
        try:
            await self._store.tell_inbox(client, [result])
        except StoreError as error:
            _log.warning("inbox.refused", client=client, reason=str(error))

    def _duplicate(self, inbound: Inbound) -> JobResult:
        outcome = of_state(JobState.DUPLICATE_ID, _IN_USE)
        if inbound.command is not None:
            return self._unstarted(inbound.command, outcome)
        return self._unread(inbound, outcome)

    def _rejection(self, item: _Admitted) -> Rejection:
        inbound = item.inbound
        filed = inbound.job_id if item.job is not None else None
        ticket, claim = inbound.ticket, self._claim(inbound)
        known = self._rejections.of(inbound.payload) if self.may_come_again() else None
        if known is not None and known.group == ticket.group:
            return Rejection(ticket.field, filed or "", claim, known.entry, ticket.group)
        error = inbound.error
        entry: dict[str, object] = {
            "time": self._clock.now_ms(),
            "field": error.field if error is not None else "id",
            "reason": str(error) if error is not None else _IN_USE,
            "code": _CONFLICT if item.is_duplicate else _BAD,
            "size": inbound.size,
            "payload": inbound.payload[:_SHOWN_OF_PAYLOAD].decode("utf-8", "backslashreplace"),
        }
        if inbound.job_id is not None:
            entry["id"] = inbound.job_id
        entry["claim"] = claim
        if ticket.group:
            entry["group"] = ticket.group
        return Rejection(ticket.field, filed or "", claim, msgspec.json.encode(entry), ticket.group)


def _may_have_run(inbound: Inbound) -> bool:
    """Whether somebody else may have had it before: a predecessor, or a node of its group."""
    return inbound.was is not None or bool(inbound.ticket.group)


def _is_rejected(item: _Admitted) -> bool:
    return item.is_duplicate or item.inbound.command is None


def _runs_at_once(command: Command, entry: Entry) -> bool:
    """Whether a command ends as it begins, and running it cannot be told from not running it."""
    return (
        entry.repeatable
        and entry.kind is Kind.INLINE
        and command.queue is None
        and not command.stream
        and not command.recurring_period
    )
