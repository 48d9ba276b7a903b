"""Attempts of jobs: begun one after the other, bounded in time, judged at their end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from corex_node.faults import FAULTS, STARTED
from corex_node.manager.abilities import Process, pid_of, signal_process
from corex_node.manager.executions import BuiltinExecution, ProgramExecution, Surroundings
from corex_node.manager.jobs import Job
from corex_node.manager.outcome import Outcome, of_error, of_state
from corex_node.manager.output import OutputRelay
from corex_node.manager.ports import Clock
from corex_node.manager.registry import Kind
from corex_shared.errors import CommandError
from corex_shared.states import JobState

if TYPE_CHECKING:
    from corex_node.manager.table import JobTable

_STARTS_AT_ONCE = 16
_LOOK_AGAIN = 0.05
"""Seconds until it is asked again whether jobs may start."""
_EXPIRED = "expires_at was over before it could start"

Concluded = Callable[[Job, Outcome, float], object]


class Attempts:
    """Begins attempts, times them, and tells what each comes to.

    `concluded` is called with the job, the outcome and how many seconds the attempt lasted.

    Attributes:
        node_is_ours: whether the node is certain to be ours. While it is not, jobs of callers are
            held up: an agent that was stopped must start nothing that its successor has settled.
        on_first: called with a job of a caller whose first attempt begins, None for nobody.
    """

    def __init__(
        self,
        manager: JobTable,
        around: Callable[[Attempts], Surroundings],
        output: OutputRelay,
        clock: Clock,
        concluded: Concluded,
    ) -> None:
        """Begin with none. To be made within a running event loop."""
        self._manager = manager
        self._output = output
        self._clock = clock
        self._concluded = concluded
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger().bind()
        self._starting: deque[Job] = deque()
        self._around = around(self)
        self.node_is_ours: Callable[[], bool] = lambda: True
        self.on_first: Callable[[Job], object] | None = None

    # -- start --------------------------------------------------------------------------------

    def start_soon(self, job: Job) -> None:
        """Start it now if it costs nothing, else in a turn of its own: starting blocks."""
        if job.entry.kind is Kind.INLINE and (job.local or self.node_is_ours()):
            self._start(job)
            return
        self._starting.append(job)
        if len(self._starting) == 1:
            self._loop.call_soon(self._start_some)

    def _start_some(self) -> None:
        held_up: list[Job] = []
        for _ in range(min(_STARTS_AT_ONCE, len(self._starting))):
            job = self._starting.popleft()
            if self._manager.jobs.get(job.id) is not job:
                continue  # killed meanwhile
            if job.local or self.node_is_ours():
                self._start(job)
            else:
                held_up.append(job)
        self._starting.extendleft(reversed(held_up))
        if held_up:
            self._loop.call_later(_LOOK_AGAIN, self._start_some)
        elif self._starting:
            self._loop.call_soon(self._start_some)

    def _start(self, job: Job) -> None:
        now_ms = self._clock.now_ms()
        expires_at = job.command.expires_at
        if expires_at is not None and expires_at <= now_ms and not job.runs:
            job.policy = None
            self._concluded(job, of_state(JobState.EXPIRED, _EXPIRED), 0.0)
            return
        if not self._manager.tenure.may_start(job):
            return
        job.attempts += 1
        job.signalled = 0
        job.stopping = False
        job.data, job.data_cut, job.critical = ("", 0), False, ""
        job.attempt_began = time.monotonic()
        if not job.started_ms:
            job.started_ms = now_ms
            if self.on_first is not None and not job.local:
                self.on_first(job)
        try:
            execution = job.execution = self._execution(job)
        except Exception as error:  # noqa: BLE001 - a command's fault is its result
            self._conclude(job, self._not_started(job, error))
            return
        try:
            execution.start()
            FAULTS.reach(STARTED)
        except Exception as error:  # noqa: BLE001 - likewise
            self.ended(job, self._not_started(job, error))

    def _not_started(self, job: Job, error: Exception) -> Outcome:
        if not isinstance(error, CommandError):
            self._log.error("job.start_failed", job=job.id, exc_info=error)
        return of_error(error)

    def _execution(self, job: Job) -> Process:
        entry = job.entry
        arguments = entry.parse(job.command.arguments)
        if entry.kind is Kind.FACTORY:
            made: Process | None = entry.function(job, self._around)
            if made is None:
                raise TypeError(f"the factory of {entry.name} made nothing")
            return made
        context = self._manager.make_context(job) if entry.wants_context else None
        call = entry.bind(arguments, context)
        if entry.kind is Kind.PROGRAM:
            return ProgramExecution(job, call(), self._around)
        return BuiltinExecution(job, call, self._around, context.cancel if context else None)

    def began(self, job: Job) -> None:
        """An attempt runs now: its time counts from here, not from the wait for its start."""
        job.attempt_began = time.monotonic()
        if job.command.max_time:
            job.run_timer = self._loop.call_later(job.command.max_time, self._timed_out, job)
        if job.hooks:
            self._tell_hooks(job)

    def _tell_hooks(self, job: Job) -> None:
        pid = pid_of(job.execution)
        for hook, courier in job.hooks:
            courier.tell(partial(hook.started, pid))
            if hook.delay is not None:
                if job.delay_timers is None:
                    job.delay_timers = []
                later = partial(courier.tell, hook.delayed)
                job.delay_timers.append(self._loop.call_later(hook.delay, later))

    # -- end ----------------------------------------------------------------------------------

    def stop(self, job: Job, number: int, grace: float) -> None:
        """End the attempt that runs: TERM with its grace, KILL at once, others as they please."""
        if job.execution is None:
            return
        polite = number in (signal.SIGTERM, signal.SIGKILL)
        if polite or not self.signal(job, number):
            self._stop(job, grace if number == signal.SIGTERM else 0)

    def signal(self, job: Job, number: int) -> bool:
        """Send a signal to the attempt that runs now; False when it takes none."""
        try:
            return signal_process(job.execution, number)
        except Exception:  # noqa: BLE001 - what factories make is not ours
            self._log.error("job.signal_failed", job=job.id, exc_info=True)
            return False

    def _stop(self, job: Job, grace: float) -> None:
        """Have it ended; one that cannot be does not keep others from being stopped."""
        execution = job.execution
        if execution is None:
            return
        job.stopping = True
        try:
            execution.stop(grace)
        except Exception:  # noqa: BLE001 - what factories make is not ours
            self._log.error("job.stop_failed", job=job.id, exc_info=True)

    def _timed_out(self, job: Job) -> None:
        """Its time is over, also when it was asked to end and has not been made to."""
        job.run_timer = None
        if job.verdict is None and job.execution is not None:
            job.verdict = of_state(JobState.TIMEOUT)
        if not job.stopping:
            self._stop(job, self._manager.grace_of(job))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Take the end of the attempt that runs; whoever tells it again is not heard."""
        if job.execution is None:
            self._log.error("job.ended_twice", job=job.id)
            return
        self._conclude(job, outcome)

    def _conclude(self, job: Job, outcome: Outcome) -> None:
        """Settle what an attempt comes to."""
        job.execution = None
        lasted = time.monotonic() - job.attempt_began
        job.last_ms = int(lasted * 1000)
        job.cancel_timers()
        self._output.end_attempt(job)
        self._concluded(job, judged(job, outcome), lasted)


def judged(job: Job, outcome: Outcome) -> Outcome:
    """Tell what an attempt comes to: what was asked for from outside wins over what it says."""
    if job.verdict is not None:
        verdict = job.verdict
        said = verdict if verdict.data else outcome
        return Outcome(verdict.state, verdict.code, outcome.signal, said.data, said.level)
    if outcome.signal and job.signalled >> outcome.signal & 1:
        killed = of_state(JobState.KILLED)
        return Outcome(killed.state, killed.code, outcome.signal)
    return outcome
