"""A manager to try jobs on: it gets commands, and remembers messages and results."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Iterable, Mapping
from typing import Any

from corex_node.manager.handle import JobHandle
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.limits import Limits
from corex_node.manager.manager import ProcessManager
from corex_node.manager.registry import Registry
from corex_node.manager.restarts import Backoff
from corex_node.testing import FakeProcess, FakeProcesses
from corex_shared.models import Command, JobResult
from tests.helpers.eventually import eventually_async

QUICK = Backoff(first=0.01, jitter=0)
SILENT = Demand(False, frozenset())
ALL = Demand(True, frozenset())


class Bench:
    """The manager's surroundings: sink, journal and clock in one.

    Attributes:
        manager: under test.
        results: of jobs, in the order of their ends.
        messages: `(job, level, text)` in order.
        events: `(kind, job, fields)` in order.
        journal: cleared while nothing can be remembered.
        journalled: jobs of which it was remembered that they run.
        congested_now: what the sink says of itself.
    """

    def __init__(
        self, registry: Registry, limits: Limits, processes: FakeProcesses | None = None
    ) -> None:
        """Make a manager, perhaps of fake processes; to be called within a running loop."""
        self.manager = ProcessManager(
            "n1",
            registry,
            limits,
            self,
            self,
            self,
            spawners=processes,
        )
        self.results: dict[str, JobResult] = {}
        self.messages: list[tuple[str, int, str]] = []
        self.events: list[tuple[str, str, dict[str, object]]] = []
        self.journalled: list[str] = []
        self.parked: list[str] = []
        self.journal = asyncio.Event()
        self.journal.set()
        self.congested_now = False
        self._numbers = itertools.count(1)

    # -- what the manager asks of its surroundings --------------------------------------------

    def message(self, job: Job, level: int, text: str, *, whole: bool) -> None:
        """Remember a message."""
        self.messages.append((job.id, level, text))

    def congested(self) -> bool:
        """Answer as told."""
        return self.congested_now

    def finished(self, job: Job, result: JobResult) -> None:
        """Remember a result."""
        assert job.id not in self.results
        self.results[job.id] = result

    def event(self, kind: str, job: Job, fields: Mapping[str, object]) -> None:
        """Remember an event."""
        self.events.append((kind, job.id, dict(fields)))

    async def running(self, jobs: list[Job]) -> None:
        """Remember that they run, as soon as that is possible."""
        await self.journal.wait()
        self.journalled += [job.id for job in jobs]

    async def waiting(self, jobs: list[Job]) -> None:
        """Remember that they wait for their next run."""
        self.parked += [job.id for job in jobs]

    def now_ms(self) -> int:
        """This machine's time."""
        return time.time_ns() // 1_000_000

    # -- what tests ask -----------------------------------------------------------------------

    def start(self) -> None:
        """Let jobs that wait be started."""
        self._running = asyncio.create_task(self.manager.run())

    async def close(self) -> None:
        """End all jobs and give everything up."""
        self.manager.stop_all(signal.SIGKILL)
        await eventually_async(lambda: not self.manager.jobs)
        self._running.cancel()
        await asyncio.wait([self._running])
        await self.manager.close()

    def place(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        demand: Demand = SILENT,
        control: bool = False,
        **fields: Any,
    ) -> Job:
        """Give a command its place, and do not admit it."""
        fields.setdefault("id", f"j{next(self._numbers)}")
        entry = self.manager.registry.get(command)
        assert entry is not None
        asked = Command(command, arguments, **fields)
        return self.manager.place(asked, entry, demand, None, control=control)

    def push(self, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> Job:
        """Give a command its place and admit it."""
        job = self.place(command, arguments, **more)
        self.manager.admit(job)
        return job

    def script(self, text: str, **more: Any) -> Job:
        """Push a script."""
        stdin = more.pop("stdin", None)
        return self.push("bash", {"script": text, "stdin": stdin}, **more)

    def program(self, *argv: str, **arguments: Any) -> Job:
        """Push a program."""
        return self.push("core.system", {"name": argv[0], "args": list(argv[1:]), **arguments})

    async def result(self, job: Job, seconds: float = 15) -> JobResult:
        """Wait for a job's result."""
        await eventually_async(
            lambda: job.id in self.results, f"the result of {job.id}", seconds=seconds
        )
        return self.results[job.id]

    async def all_results(self, jobs: Iterable[Job], seconds: float = 30) -> list[JobResult]:
        """Wait for the results of many, in their order."""
        return [await self.result(job, seconds) for job in jobs]

    async def ready(self, job: Job) -> None:
        """Wait until a job has written something."""
        await eventually_async(
            lambda: (
                any(name == job.id for name, _, _ in self.messages)
                or (job.stdout is not None and job.stdout.tail.total > 0)
            ),
            f"{job.id} writes",
        )


class QuickBench(Bench):
    """A manager whose processes do what the test says: nothing is started.

    Attributes:
        processes: all of them.
    """

    def __init__(self, registry: Registry, limits: Limits) -> None:
        """Make a manager; to be called within a running loop."""
        self.processes = FakeProcesses()
        super().__init__(registry, limits, self.processes)

    async def close(self) -> None:
        """End all jobs and give everything up."""
        await super().close()
        self.processes.close()

    def tool(self, **fields: Any) -> Job:
        """Push a program."""
        return self.push("core.system", {"name": "tool"}, **fields)

    async def process(self, job: Job | JobHandle) -> FakeProcess:
        """Wait until an attempt of a job runs, and return its process."""
        await eventually_async(lambda: job.pid, f"{job.id} runs")
        [process] = [process for process in self.processes.running if process.pid == job.pid]
        return process

    async def next_process(self, job: Job | JobHandle, after: FakeProcess) -> FakeProcess:
        """Wait until an attempt later than that of a process runs."""
        await eventually_async(lambda: job.pid not in (0, after.pid), f"{job.id} runs again")
        return await self.process(job)
