"""A job as code inside the node holds it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from corex_node.manager.abilities import Process, usage_of
from corex_node.manager.jobs import Job
from corex_node.manager.messages import Subscription
from corex_node.process.usage import Usage
from corex_shared.errors import NotFoundError, WaitTimeout
from corex_shared.models import Command, JobResult
from corex_shared.states import Stage

if TYPE_CHECKING:
    from corex_node.manager.manager import ProcessManager


class JobHandle:
    """One job: signals, waiting, messages. To be used on the manager's event loop."""

    __slots__ = ("_job", "_manager")

    def __init__(self, job: Job, manager: ProcessManager) -> None:
        """Hold a job of a manager."""
        self._job = job
        self._manager = manager

    @property
    def id(self) -> str:
        """Its ID."""
        return self._job.id

    @property
    def command(self) -> Command:
        """What was asked."""
        return self._job.command

    @property
    def stage(self) -> Stage:
        """Where it stands."""
        return self._job.stage

    @property
    def attempts(self) -> int:
        """Runs that were begun."""
        return self._job.runs

    @property
    def fencing_token(self) -> int:
        """By which it holds its queue, when that is one of all nodes; 0 while it does not.

        It rises with every grant: what the job changes elsewhere can be refused if a higher one
        was seen there.
        """
        return self._job.fencing_token

    @property
    def start_time(self) -> int:
        """When it first ran, in ms since the epoch; 0 before."""
        return self._job.started_ms

    @property
    def process(self) -> Process | None:
        """The attempt that runs, None when there is none (see `abilities`)."""
        return self._job.execution

    @property
    def pid(self) -> int:
        """Process ID of the attempt that runs, 0 when there is none."""
        return self._job.pid

    @property
    def result(self) -> JobResult | None:
        """How it ended, None before."""
        return self._job.result

    def signal(self, number: int = signal.SIGTERM) -> bool:
        """Send a signal to the attempt that runs now, or end the job; see `ProcessManager.kill`."""
        return self._is_there() and self._manager.kill(self.id, number)

    def stop(self) -> bool:
        """End it even if it is protected; False when it has ended."""
        return self._is_there() and self._manager.stop(self.id)

    def unschedule(self) -> bool:
        """Have no further run follow this one; False when it has ended."""
        return self._is_there() and self._manager.unschedule(self.id)

    def _is_there(self) -> bool:
        """Whether it has not ended: its ID may be another job's by now."""
        return self._manager.jobs.get(self.id) is self._job

    async def wait(self, timeout: float | None = None) -> JobResult:
        """Wait for its end.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            WaitTimeout: it has not ended by then; it goes on.
            NotFoundError: it was given back before it began: another agent may run it.
        """
        job = self._job
        if job.result is not None:
            return job.result
        if not self._is_there():
            raise NotFoundError(f"id: {job.id}: it was given back")
        if job.ended is None:
            job.ended = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(job.ended)
        except TimeoutError as error:
            raise WaitTimeout(f"the end of job {job.id}", timeout or 0.0) from error

    def subscribe(self) -> Subscription:
        """Follow its messages: what is kept of the past, then what comes, without a gap.

        Raises:
            NotFoundError: it has ended.
        """
        if not self._is_there():
            raise NotFoundError(f"id: {self.id}: no such job")
        return self._manager.subscribe(self.id)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Follow no more; harmless to repeat."""
        subscription.close()
        if self._is_there():
            self._manager.unsubscribe(self.id, subscription)

    async def usage(self) -> Usage:
        """Tell what the processes of the running attempt use."""
        return await self._manager.threads.call(usage_of, self._job.execution)

    def __repr__(self) -> str:
        return f"<JobHandle {self.id} {self.stage}>"
