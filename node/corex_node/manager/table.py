"""The life of all jobs of a node: placed, admitted, run, run again, ended.

A job is *placed* (it has its place in the table and in its queue, and perhaps a slot), then
*admitted* by whoever brought it (it is remembered elsewhere), then started. A job that had to
wait is started by `run`, which first has the journal remember that it runs.

Places are the `Lineup`'s, attempts are `Attempts`', what jobs say goes through the `OutputRelay`;
here is what connects them.
"""

from __future__ import annotations

import asyncio
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from corex_node.manager.attempts import Attempts
from corex_node.manager.context import Context
from corex_node.manager.executions import Surroundings
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.limits import Limits
from corex_node.manager.observers import Observers
from corex_node.manager.outcome import Outcome, of_state
from corex_node.manager.output import OutputRelay
from corex_node.manager.ports import Clock, Journal, Sink
from corex_node.manager.registry import Entry, Registry
from corex_node.manager.restarts import policy_of
from corex_node.manager.results import result_of
from corex_node.manager.runs import event_of, report_run
from corex_node.manager.signals import STOP_SIGNALS, check_signal
from corex_node.manager.starter import Starter
from corex_node.manager.tenure import Tenure
from corex_node.manager.threads import DaemonThreads
from corex_node.process.spawner_pool import SpawnerPool, Spawners
from corex_node.process.watcher import Watcher
from corex_shared.errors import BadRequestError, NotFoundError
from corex_shared.models import Command
from corex_shared.states import JobState, Level, Stage

_THREADS = 256
"""Built-ins that may wait, at once; threads are made as they are needed."""
_BESIDE = 64
"""Those of them that are left when every slot is held by such a built-in."""
_OBSERVER_THREADS = 256
_OBSERVER_PATIENCE = 1.0
"""Seconds in which observers may be told the last events, at the end."""


class JobTable(ABC):
    """All jobs of one node. Belongs to one event loop; several may live in one process.

    Attributes:
        node: its ID.
        scope: tells this node's jobs from those of all others on the machine.
        registry: the commands that it knows.
        limits: bounds.
        jobs: those that have not ended, by ID.
        lineup: who runs and who waits.
        tenure: who may run by the queue of the fleet that it holds.
        output: what jobs say, and who hears it.
        observers: of all jobs.
        threads: for what blocks.
    """

    def __init__(
        self,
        node: str,
        registry: Registry,
        limits: Limits,
        sink: Sink,
        journal: Journal,
        clock: Clock,
        *,
        spawners: Spawners | None = None,
    ) -> None:
        """Begin with no job.

        Args:
            node: its ID.
            registry: the commands that it knows.
            limits: bounds.
            sink: gets messages and results.
            journal: remembers what runs.
            clock: tells the time.
            spawners: start programs, in place of real ones (see `corex_node.testing`).
        """
        self.node = node
        self.scope = node
        self.registry = registry
        self.limits = limits
        self.jobs: dict[str, Job] = {}
        self._log = structlog.get_logger().bind()  # once: a job's events cost no look-up
        self._sink = sink
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._freed = asyncio.Event()  # for those who wait for capacity
        self._unprivileged = False
        self.threads = DaemonThreads(max(_THREADS, limits.max_jobs + _BESIDE), "builtin")
        self._observer_threads = DaemonThreads(_OBSERVER_THREADS, "observer")
        self.observers = Observers(self._observer_threads)
        self.output = OutputRelay(sink, limits, self.observers)
        self._watcher = Watcher(self._loop)
        self._spawners: Spawners = spawners or SpawnerPool(self._watcher, self._loop.call_soon)
        self._attempts = Attempts(self, self._surroundings, self.output, clock, self._concluded)
        self._starter = Starter(self.jobs, limits.max_jobs, journal, self._attempts.start_soon)
        self.lineup = self._starter.lineup
        self.tenure = Tenure(self.jobs, self._starter, self._oust, self._freed.set)

    def _surroundings(self, attempts: Attempts) -> Surroundings:
        return Surroundings(
            lambda: self.scope,
            self._watcher,
            self._spawners,
            self.threads,
            self.limits.linger,
            lambda: self._unprivileged,
            attempts.began,
            self.output.wrote,
            attempts.ended,
        )

    @abstractmethod
    def make_context(self, job: Job) -> Context:
        """Make the context of an attempt of a built-in."""

    def start_only_while(self, condition: Callable[[], bool]) -> None:
        """Have jobs of callers held up, as they are to start, while a condition is not true."""
        self._attempts.node_is_ours = condition

    def tell_starts(self, told: Callable[[Job], object]) -> None:
        """Have a function called with each job of a caller as its first attempt begins."""
        self._attempts.on_first = told

    # -- room ---------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Jobs that hold a slot."""
        return self.lineup.running

    @property
    def waiting(self) -> int:
        """Jobs that wait for their queue, for a slot or for their next run."""
        return self.lineup.waiting

    def capacity(self) -> int:
        """How many more commands may be taken now."""
        return max(0, min(self.lineup.free, self.limits.max_waiting - self.waiting))

    async def change(self) -> None:
        """Return when a job has ended; the caller bounds the wait."""
        self._freed.clear()
        await self._freed.wait()

    async def wait_for_capacity(self, enough: int) -> None:
        """Return when there is room for `enough` commands; the caller bounds the wait."""
        while self.capacity() < enough:
            await self.change()

    # -- the way of a job ---------------------------------------------------------------------

    def place(
        self, command: Command, entry: Entry, demand: Demand, origin: object, *, control: bool
    ) -> Job:
        """Give a command a place: in the table, in its queue, and a slot if there is one.

        The job's stage is then RUNNING (it starts as soon as it is admitted) or WAITING.

        Args:
            command: its ID is not in `jobs`.
            entry: of its command.
            demand: which messages are wanted.
            origin: kept in the job.
            control: whether it needs no slot.

        Raises:
            BadRequestError: it asks for a queue of the fleet, and there are none.
        """
        job = Job(command, entry, demand, origin)
        job.control = control
        return self._enter(job)

    def _enter(self, job: Job) -> Job:
        command, limits = job.command, self.limits
        if job.fleet_queue is not None and self.lineup.fleet is None:
            raise BadRequestError("queue_scope: this node serves queues of its own only")
        job.claimed_ms = self._clock.now_ms()
        job.policy = policy_of(
            command.max_restart,
            command.recurring_period,
            job.flags.protected,
            limits.backoff,
            limits.protected,
        )
        self.jobs[job.id] = job
        self.lineup.enter(job)
        return job

    def admit(self, job: Job) -> None:
        """Let a placed job run as soon as it can; one that was withdrawn does not."""
        if job.stage is Stage.FINISHED:
            return
        job.admitted = True
        if self.observers:
            self.observers.starting(job.command)
        if job.verdict is not None:
            self._finish(job, job.verdict)
        elif job.stage is Stage.RUNNING:
            self._attempts.start_soon(job)
        elif job.ready:
            self._starter.stir()
        elif job.fleet_queue is not None:
            self.lineup.admit(job)

    def withdraw(self, job: Job) -> None:
        """Take a job out again, without a result; who waits for it waits no more."""
        self._forget(job)
        if job.ended is not None and not job.ended.done():
            job.ended.set_exception(NotFoundError(f"id: {job.id}: it was given back"))
            job.ended.exception()  # perhaps nobody waits for it any more

    async def run(self) -> None:
        """Start jobs that waited, as slots become free; to be cancelled."""
        await self._starter.run()

    async def note_parked(self) -> None:
        """See `Starter`."""
        await self._starter.note_parked()

    def between_runs(self) -> list[Job]:
        """Jobs of callers that have run and wait for their next run."""
        return [
            job
            for job in self.jobs.values()
            if job.last_outcome is not None and job.stage is Stage.WAITING and not job.local
        ]

    # -- look-ups -----------------------------------------------------------------------------

    def snapshot(self, job_ids: Iterable[str] | None = None) -> list[Job]:
        """List jobs: all, or those of the given IDs that exist. May be called from any thread."""
        if job_ids is None:
            return list(self.jobs.values())
        return [self.jobs[job_id] for job_id in job_ids if job_id in self.jobs]

    def unstarted(self) -> list[Job]:
        """Jobs of callers that have never run, in order of their arrival."""
        return [job for job in self.jobs.values() if not job.attempts and not job.local]

    def grace_of(self, job: Job) -> float:
        """Seconds between TERM and KILL when a job is stopped."""
        grace = job.command.grace
        return self.limits.grace if grace is None else grace

    # -- the end ------------------------------------------------------------------------------

    def kill(self, job_id: str, number: int = signal.SIGTERM, *, by: str | None = None) -> bool:
        """Send a signal to a job, or end it.

        TERM ends it with its grace, KILL at once, INT and QUIT as it pleases; all four end its
        restarts and take a job that waits off its queue. Other signals are only delivered, to the
        attempt that runs now and to no later one. A protected job is started again.

        Args:
            job_id: whose.
            number: of the signal.
            by: client that asks for it.

        Returns:
            False when there is no such job.

        Raises:
            BadRequestError: there is no such signal.
        """
        check_signal(number)
        job = self.jobs.get(job_id)
        if job is None:
            return False
        job.signalled |= 1 << number
        self._note_killer(job, by or "")
        if number not in STOP_SIGNALS:
            self._attempts.signal(job, number)
        elif job.flags.protected:
            self._attempts.stop(job, number, self.grace_of(job))
        else:
            self._end(job, number)
        return True

    def stop(self, job_id: str, number: int = signal.SIGTERM) -> bool:
        """End a job even if it is protected; see `kill`."""
        check_signal(number)
        job = self.jobs.get(job_id)
        if job is None:
            return False
        job.signalled |= 1 << number
        self._note_killer(job, "")
        self._end(job, number)
        return True

    def _note_killer(self, job: Job, by: str) -> None:
        """Remember who asks for the end of a job: the first whom it is owed to."""
        if job.verdict is None:
            job.killed_by = by

    def _end(self, job: Job, number: int) -> None:
        job.policy = None
        if job.verdict is None:
            job.verdict = of_state(JobState.KILLED)
        if job.execution is not None:
            self._attempts.stop(job, number, self.grace_of(job))
        elif job.admitted:  # else its end waits for those who are bringing it
            self._finish(job, job.verdict)

    def _oust(self, job: Job, why: str) -> None:
        """Stop an attempt that may not go on: KILLED, or run again if the job is protected."""
        if job.flags.protected:
            self._attempts.stop(job, signal.SIGTERM, self.grace_of(job))
            return
        self._note_killer(job, "")
        if job.verdict is None:
            job.verdict = of_state(JobState.KILLED, why)
        self._end(job, signal.SIGTERM)

    def unschedule(self, job_id: str) -> bool:
        """Have no further run of a job follow: it ends with the run that is under way or due first.

        One that waits for its next run ends at once, with the outcome of its last.

        Returns:
            False when there is no such job.
        """
        job = self.jobs.get(job_id)
        if job is None:
            return False
        if job.flags.protected:  # only `stop` and a shutdown end it
            return True
        job.policy = None
        if job.last_outcome is not None and job.stage is Stage.WAITING:
            self._finish(job, job.last_outcome)
        return True

    def stop_all(self, number: int = signal.SIGTERM) -> None:
        """End every job, protected ones too: KILLED."""
        for job_id in list(self.jobs):
            self.stop(job_id, number)

    def stop_callers(self, jobs: Iterable[Job], why: str) -> None:
        """End jobs of callers for a reason that their results give: KILLED."""
        for job in jobs:
            if not job.local and self.jobs.get(job.id) is job:
                self._note_killer(job, "")
                job.verdict = job.verdict or of_state(JobState.KILLED, why)
                self.stop(job.id)

    def abandon(self) -> None:
        """End whatever still runs, at once, without results: the agent itself is ending."""
        for job in list(self.jobs.values()):
            self._attempts.stop(job, signal.SIGKILL, 0)

    async def close(self) -> None:
        """Give up threads and descriptors; no job is left."""
        await self._settle_observers()
        self._observer_threads.shutdown(cancel_futures=True)
        self.threads.shutdown(cancel_futures=True)
        self._spawners.close()
        self._watcher.close()

    async def _settle_observers(self) -> None:
        """Let observers hear of the last ends, as far as they are quick."""
        deadline = self._loop.time() + _OBSERVER_PATIENCE
        while self._loop.time() < deadline:
            if not self._observer_threads.busy:
                return
            await asyncio.sleep(0.01)

    def _concluded(self, job: Job, outcome: Outcome, lasted: float) -> None:
        """One attempt has ended and was judged: decide what follows."""
        delay = None
        if job.policy is not None and (job.flags.protected or outcome.state != JobState.KILLED):
            delay = job.policy.after(outcome.ok, lasted, random.random())
        if job.attempts and (delay is not None or job.command.recurring_period):
            self._report(job, outcome, delay)
        if delay is None:
            self._finish(job, outcome)
        else:
            self._run_again(job, outcome, delay)

    def _report(self, job: Job, outcome: Outcome, delay: float | None) -> None:
        """Tell of one run of several."""
        report = report_run(job, outcome, delay)
        self.output.say(job, Level.JOB, report.text())
        if not job.local:
            self._sink.event(event_of(job), job, report.fields())

    def _run_again(self, job: Job, outcome: Outcome, delay: float) -> None:
        """Give slot and queue away between two runs, and stand in line again after `delay`."""
        job.verdict = None
        job.last_outcome = outcome
        self.lineup.release(job)
        self._freed.set()
        self.lineup.wait(job)
        job.wait_timer = self._loop.call_later(delay, self._line_up, job)
        self._starter.park(job)

    def _line_up(self, job: Job) -> None:
        job.wait_timer = None
        self.lineup.line_up(job)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        self._forget(job)
        result = result_of(job, self.node, outcome)
        job.result = result
        self._log.debug("job.finished", job=job.id, state=result.state, code=result.code)
        if not job.local:
            self._sink.finished(job, result)
        if self.observers:
            self.observers.finished(job.command, result)
        for hook, courier in job.hooks:
            courier.tell(partial(hook.finished, result))
        if job.ended is not None and not job.ended.done():
            job.ended.set_result(result)

    def _forget(self, job: Job) -> None:
        """Take a job out of the table and out of everybody's way."""
        del self.jobs[job.id]
        job.cancel_timers()
        self.lineup.leave(job)
        self._freed.set()
        if job.subscriptions is not None:
            self.output.end_job(job)
        job.stage = Stage.FINISHED
