"""The process manager: which job runs when, and what becomes of it.

A job is *placed* (it has its place in the table and in its queue, and perhaps a slot), then
*admitted* by whoever brought it (it is remembered elsewhere), then started. A job that had to
wait is started by `run`, which first has the journal remember that it runs.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from corex_node.manager.executions import (
    BuiltinExecution,
    Context,
    ProgramExecution,
    Surroundings,
)
from corex_node.manager.jobs import Demand, Execution, Job
from corex_node.manager.limits import Limits
from corex_node.manager.outcome import Outcome, of_error, of_state
from corex_node.manager.output import OutputRelay
from corex_node.manager.ports import Clock, Journal, Sink
from corex_node.manager.queues import QueueTable
from corex_node.manager.registry import Entry, Kind, Registry
from corex_node.manager.restarts import RestartPolicy
from corex_node.manager.results import result_of
from corex_node.process.spawner_pool import SpawnerPool
from corex_node.process.watcher import Watcher
from corex_shared.errors import CommandError
from corex_shared.models import Command
from corex_shared.states import JobState, Stage

_STARTS_AT_ONCE = 16
_BUILTIN_THREADS = 16
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT})


class ProcessManager:
    """All jobs of one node. Belongs to one event loop; several may live in one process."""

    def __init__(
        self,
        node: str,
        registry: Registry,
        limits: Limits,
        sink: Sink,
        journal: Journal,
        clock: Clock,
    ) -> None:
        """Begin with no job."""
        self.node = node
        self.registry = registry
        self.limits = limits
        self.jobs: dict[str, Job] = {}
        self._log = structlog.get_logger().bind()  # once: a job's events cost no look-up
        self._sink = sink
        self._journal = journal
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queues: QueueTable[Job] = QueueTable()
        self._ready: deque[Job] = deque()  # hold their queue, wait for a slot or the journal
        self._starting: deque[Job] = deque()  # may start now
        self._output = OutputRelay(sink, limits)
        self._wake = asyncio.Event()  # something became ready, or a slot free
        self._freed = asyncio.Event()  # for those who wait for capacity
        self._watcher = Watcher(self._loop)
        self._spawners = SpawnerPool(self._watcher, self._loop.call_soon)
        self._executor = ThreadPoolExecutor(_BUILTIN_THREADS, "builtin")
        self._around = Surroundings(
            self._watcher,
            self._spawners,
            self._executor,
            limits.linger,
            self._began,
            self._output.wrote,
            self._ended,
        )
        self.running = 0  # jobs that hold a slot
        self.waiting = 0  # jobs that wait for their queue or for a slot

    # -- room ---------------------------------------------------------------------------------

    def capacity(self) -> int:
        """How many more commands may be taken now."""
        free = self.limits.max_jobs - self.running - len(self._ready)
        return max(0, min(free, self.limits.max_waiting - self.waiting))

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
        """
        job = Job(command, entry, demand, origin)
        job.control = control
        job.claimed_ms = self._clock.now_ms()
        job.policy = self._policy(command)
        self.jobs[job.id] = job
        if command.queue is not None and not self._queues.enter(command.queue, job):
            self._wait(job)
        elif control or self.running + len(self._ready) < self.limits.max_jobs:
            self._take_slot(job)
        else:
            self._wait(job)
            self._make_ready(job)
        return job

    def admit(self, job: Job) -> None:
        """Let a placed job run as soon as it can."""
        job.admitted = True
        if job.verdict is not None:
            self._finish(job, job.verdict)
        elif job.stage is Stage.RUNNING:
            self._start_soon(job)
        elif job.ready:
            self._wake.set()

    def withdraw(self, job: Job) -> None:
        """Take a job that has not started out again, without a result."""
        self._forget(job)

    async def run(self) -> None:
        """Start jobs that waited, as slots become free; to be cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = self._take_ready()
            if not batch:
                continue
            await self._journal.running(batch)
            for job in batch:
                if job.id in self.jobs:  # not killed meanwhile
                    self._start_soon(job)

    def _policy(self, command: Command) -> RestartPolicy | None:
        period, runs = command.recurring_period, command.max_restart or 0
        if not period and runs <= 1:
            return None
        return RestartPolicy(runs, period or None, self.limits.backoff)

    def _wait(self, job: Job) -> None:
        job.stage = Stage.WAITING
        self.waiting += 1

    def _make_ready(self, job: Job) -> None:
        job.ready = True
        self._ready.append(job)
        self._wake.set()

    def _take_slot(self, job: Job) -> None:
        job.stage = Stage.RUNNING
        if not job.control:
            job.has_slot = True
            self.running += 1

    def _take_ready(self) -> list[Job]:
        """Give slots to those who wait for one, in order."""
        batch: list[Job] = []
        later: deque[Job] = deque()
        while self._ready:
            job = self._ready.popleft()
            free = job.control or self.running < self.limits.max_jobs
            if job.admitted and free:
                job.ready = False
                self.waiting -= 1
                self._take_slot(job)
                batch.append(job)
            else:
                later.append(job)
        self._ready = later
        return batch

    def _start_soon(self, job: Job) -> None:
        """Start it now if it costs nothing, else in a turn of its own: starting blocks."""
        if job.entry.kind is Kind.INLINE:
            self._start(job)
            return
        self._starting.append(job)
        if len(self._starting) == 1:
            self._loop.call_soon(self._start_some)

    def _start_some(self) -> None:
        for _ in range(min(_STARTS_AT_ONCE, len(self._starting))):
            job = self._starting.popleft()
            if job.id in self.jobs:
                self._start(job)
        if self._starting:
            self._loop.call_soon(self._start_some)

    def _start(self, job: Job) -> None:
        now_ms = self._clock.now_ms()
        expires_at = job.command.expires_at
        if expires_at is not None and expires_at <= now_ms and not job.attempts:
            why = "expires_at was over before it could start"
            self._finish(job, of_state(JobState.EXPIRED, why))
            return
        job.attempts += 1
        job.signalled = 0
        job.data, job.critical = ("", 0), ""
        job.attempt_began = time.monotonic()
        if not job.started_ms:
            job.started_ms = now_ms
        try:
            job.execution = self._execution(job)
            job.execution.start()
        except CommandError as error:
            self._ended(job, of_error(error))
        except Exception as error:  # noqa: BLE001 - a command's fault is its result
            self._log.error("job.start_failed", job=job.id, exc_info=True)
            self._ended(job, of_error(error))

    def _began(self, job: Job) -> None:
        """An attempt runs now: its time counts from here, not from the wait for its start."""
        job.attempt_began = time.monotonic()
        if job.command.max_time:
            job.run_timer = self._loop.call_later(job.command.max_time, self._timed_out, job)

    def _execution(self, job: Job) -> Execution:
        entry = job.entry
        arguments = entry.parse(job.command.arguments)
        if entry.kind is Kind.PROGRAM:
            return ProgramExecution(job, entry.function(arguments), self._around)
        call = partial(entry.function, arguments)
        if entry.wants_context:
            call = partial(entry.function, Context(job, self), arguments)
        return BuiltinExecution(job, call, self._around)

    # -- output -------------------------------------------------------------------------------

    def emit(self, job: Job, level: int, text: str) -> None:
        """Send a message of a job, if anyone wants its level."""
        if job.id in self.jobs and job.demand.wants(level):
            self._sink.message(job, level, text, whole=True)

    def resume_output(self) -> None:
        """Read output again that was held up while the sink was congested."""
        self._output.resume()

    def call_from_thread(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called on the manager's event loop."""
        self._loop.call_soon_threadsafe(function, *arguments)

    # -- the end ------------------------------------------------------------------------------

    def kill(self, job_id: str, number: int = signal.SIGTERM) -> bool:
        """Send a signal to a job, or end it.

        TERM ends it with its grace, KILL at once, INT and QUIT as it pleases; all four end its
        restarts and take a job that waits off its queue. Other signals are only delivered.

        Returns:
            False when there is no such job.
        """
        job = self.jobs.get(job_id)
        if job is None:
            return False
        job.signalled = number
        if number not in _STOP_SIGNALS:
            if job.execution is not None:
                job.execution.signal(number)
            return True
        job.policy = None
        if job.verdict is None:
            job.verdict = of_state(JobState.KILLED)
        execution = job.execution
        if execution is None:
            if job.admitted:  # else its end waits for those who are bringing it
                self._finish(job, job.verdict)
        elif number in (signal.SIGTERM, signal.SIGKILL) or not execution.signal(number):
            execution.stop(self.grace_of(job) if number == signal.SIGTERM else 0)
        return True

    def stop_all(self, number: int = signal.SIGTERM) -> None:
        """End every job: KILLED."""
        for job_id in list(self.jobs):
            self.kill(job_id, number)

    def unstarted(self) -> list[Job]:
        """Jobs that have never run, in order of their arrival."""
        return [job for job in self.jobs.values() if not job.attempts]

    def abandon(self) -> None:
        """End whatever still runs, at once, without results: the agent itself is ending."""
        for job in list(self.jobs.values()):
            if job.execution is not None:
                job.execution.stop(0)

    async def close(self) -> None:
        """Give up threads and descriptors; no job is left."""
        self._spawners.close()
        self._watcher.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def grace_of(self, job: Job) -> float:
        """Seconds between TERM and KILL when a job is stopped."""
        grace = job.command.grace
        return self.limits.grace if grace is None else grace

    def _timed_out(self, job: Job) -> None:
        job.run_timer = None
        if job.verdict is None and job.execution is not None:
            job.verdict = of_state(JobState.TIMEOUT)
            job.execution.stop(self.grace_of(job))

    def _ended(self, job: Job, outcome: Outcome) -> None:
        """One attempt has ended: settle what it comes to, and what follows."""
        job.execution = None
        lasted = time.monotonic() - job.attempt_began
        job.last_ms = int(lasted * 1000)
        job.cancel_timers()
        self._output.end_attempt(job)
        outcome = self._judged(job, outcome)
        delay = None
        if job.policy is not None and outcome.state is not JobState.KILLED:
            delay = job.policy.after(outcome.ok, lasted, random.random())
        if delay is None:
            self._finish(job, outcome)
        else:
            self._run_again(job, delay)

    def _judged(self, job: Job, outcome: Outcome) -> Outcome:
        """What was asked for from outside wins over what the attempt says."""
        if job.verdict is not None:
            verdict = job.verdict
            return Outcome(verdict.state, verdict.code, outcome.signal, outcome.data, outcome.level)
        if outcome.signal and outcome.signal == job.signalled:
            killed = of_state(JobState.KILLED)
            return Outcome(killed.state, killed.code, outcome.signal)
        return outcome

    def _run_again(self, job: Job, delay: float) -> None:
        """Give slot and queue away between two runs, and stand in line again after `delay`."""
        job.verdict = None
        self._release(job)
        self._wait(job)
        job.wait_timer = self._loop.call_later(delay, self._line_up, job)

    def _line_up(self, job: Job) -> None:
        job.wait_timer = None
        queue = job.command.queue
        if queue is None or self._queues.enter(queue, job):
            self._make_ready(job)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        self._forget(job)
        result = result_of(job, self.node, outcome)
        self._log.debug("job.finished", job=job.id, state=result.state, code=result.code)
        self._sink.finished(job, result)

    def _forget(self, job: Job) -> None:
        """Take a job out of the table and out of everybody's way."""
        del self.jobs[job.id]
        job.cancel_timers()
        if job.stage is Stage.WAITING:
            self.waiting -= 1
        if job.ready:
            self._ready.remove(job)
            job.ready = False
        self._release(job)
        job.stage = Stage.FINISHED

    def _release(self, job: Job) -> None:
        """Give back slot and queue; the next in line becomes ready."""
        if job.has_slot:
            job.has_slot = False
            self.running -= 1
        if job.command.queue is not None:
            following = self._queues.leave(job.command.queue, job)
            if following is not None:
                self._make_ready(following)
        if self._ready:
            self._wake.set()
        self._freed.set()

    def snapshot(self, job_ids: Iterable[str] | None = None) -> list[Job]:
        """List jobs: all, or those of the given IDs that exist."""
        if job_ids is None:
            return list(self.jobs.values())
        return [self.jobs[job_id] for job_id in job_ids if job_id in self.jobs]
