"""Who runs and who waits, whatever happens in whatever order."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from corex_node.manager.jobs import Demand, Job
from corex_node.manager.lineup import Lineup
from corex_node.manager.registry import Entry, Kind
from corex_shared.models import Command
from corex_shared.states import Stage

_ENTRY = Entry("c", Kind.INLINE, dict, dict)
_SLOTS = 3


class LineupMachine(RuleBasedStateMachine):
    """Jobs enter, are admitted, run, wait for further runs, are killed, in any order."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.stirred = False
        self.lineup = Lineup(_SLOTS, self._stir)
        self.present: list[Job] = []
        self.idle: set[str] = set()  # wait for their next run
        self.numbers = iter(range(10**6))
        self.order: list[Job] = []  # in which they came to their queues

    def _stir(self) -> None:
        self.stirred = True

    @rule(
        target=jobs,
        queue=st.sampled_from([None, "a", "b"]),
        control=st.booleans(),
        admitted=st.booleans(),
    )
    def enter(self, queue: str | None, control: bool, admitted: bool) -> Job:
        """A job comes."""
        command = Command("c", id=f"j{next(self.numbers)}", queue=queue)
        job = Job(command, _ENTRY, Demand(False, frozenset()), None)
        job.control, job.admitted = control, admitted
        self.present.append(job)
        if queue is not None:
            self.order.append(job)
        self.lineup.enter(job)
        return job

    @rule(job=jobs)
    def admit(self, job: Job) -> None:
        """It may be started."""
        job.admitted = True
        if job.ready:
            self._stir()

    @rule(job=consumes(jobs))
    def leave(self, job: Job) -> None:
        """It ends, is killed or is given back, wherever it stands."""
        self.lineup.leave(job)
        job.stage = Stage.FINISHED
        self.present.remove(job)
        self.idle.discard(job.id)
        if job in self.order:
            self.order.remove(job)

    @rule(job=jobs)
    def run_again_later(self, job: Job) -> None:
        """One that runs ends a run, and is to have another."""
        if job.stage is Stage.RUNNING and job.admitted:
            self.lineup.release(job)
            self.lineup.wait(job)
            self.idle.add(job.id)
            if job in self.order:
                self.order.remove(job)

    @rule(job=jobs)
    def line_up(self, job: Job) -> None:
        """Its time has come."""
        if job.id in self.idle:
            self.idle.discard(job.id)
            if job.command.queue is not None:
                self.order.append(job)
            self.lineup.line_up(job)

    @rule(name=st.sampled_from(["a", "b"]))
    def release_by_hand(self, name: str) -> None:
        """Somebody takes the queue away from its holder."""
        holder = self.lineup.queues.holder(name)
        if holder is not None and holder.stage is Stage.RUNNING:
            self.lineup.leave_queue(holder)
            self.order.remove(holder)

    @rule()
    def start(self) -> None:
        """Those who can, run."""
        self.stirred = False
        before = {job.id for job in self.present if job.stage is Stage.RUNNING}
        batch = self.lineup.take_ready()
        assert all(job.admitted and job.id not in before for job in batch)
        assert all(job.stage is Stage.RUNNING for job in batch)

    @invariant()
    def counts_are_right(self) -> None:
        """And never more run than may."""
        running = [job for job in self.present if job.stage is Stage.RUNNING]
        assert self.lineup.running == sum(not job.control for job in running) <= _SLOTS
        assert self.lineup.waiting == sum(job.stage is Stage.WAITING for job in self.present)
        assert all(job.has_slot is (not job.control) for job in running)

    @invariant()
    def queues_are_in_order(self) -> None:
        """The first that came holds it; the others wait behind it."""
        for name in ("a", "b"):
            queues = self.lineup.queues
            line = [job for job in [queues.holder(name), *queues.waiters(name)] if job is not None]
            assert line == [job for job in self.order if job.command.queue == name]

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Who can run has been told of, or runs."""
        if self.stirred:
            return
        for job in self.present:
            queue = job.command.queue
            may = queue is None or self.lineup.queues.holder(queue) is job
            can = job.control or self.lineup.running < _SLOTS
            waits = job.stage is Stage.WAITING and job.id not in self.idle
            assert not (may and can and waits and job.admitted), f"{job.id} could run"

    @invariant()
    def nobody_is_there_twice(self) -> None:
        """Nor is one there that has gone."""
        held = [
            job.id
            for name in self.lineup.queues.names()
            for job in [self.lineup.queues.holder(name), *self.lineup.queues.waiters(name)]
            if job is not None
        ]
        assert not [job_id for job_id, count in Counter(held).items() if count > 1]
        assert set(held) <= {job.id for job in self.present}


TestLineup = LineupMachine.TestCase
TestLineup.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
