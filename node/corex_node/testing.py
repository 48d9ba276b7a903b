r"""Doubles for tests of code that uses the process manager: no process is started, no Redis needed.

processes = FakeProcesses()
manager = ProcessManager("n1", registry, Limits(), sink, sink, sink, spawners=processes)
…
[process] = processes.running
process.write(b"hello\n")
process.exit(0)
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Mapping

from corex_node.manager.jobs import Job
from corex_node.process.exit_status import ExitStatus
from corex_node.process.program import ProgramSpec
from corex_node.process.spawner_link import SpawnedChild
from corex_shared.errors import CommandError
from corex_shared.models import JobResult

_FIRST_PID = 10_000_000
"""Above what a system gives (PID_MAX_LIMIT is 4,194,304), so that no real process is meant."""
_STDOUT, _STDERR = 1, 2
_ENDING = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})


class FakeProcess:
    """A process that does what a test says.

    Attributes:
        spec: what was to be run.
        pid: of no real process.
        signals: that it was sent, in order.
        stubborn: whether it survives every signal but KILL.
    """

    def __init__(
        self, child: SpawnedChild, spec: ProgramSpec, pid: int, outputs: list[int], stdin: int
    ) -> None:
        """Stand for a child; `outputs` and `stdin` (or -1) are its ends of the pipes."""
        self._child = child
        self._outputs = outputs
        self._stdin = stdin
        self._exited = False
        self.spec = spec
        self.pid = pid
        self.signals: list[int] = []
        self.stubborn = False

    @property
    def running(self) -> bool:
        """Whether it has not exited."""
        return not self._exited

    def write(self, data: bytes, stream: int = _STDOUT) -> None:
        """Write to its stdout (1) or stderr (2); less than a pipe holds at once."""
        os.write(self._outputs[stream - 1], data)

    def read(self, size: int = 64 * 1024) -> bytes:
        """Read from its stdin; waits until there is something or it is closed."""
        return os.read(self._stdin, size)

    def exit(self, code: int = 0) -> None:
        """Exit by itself."""
        self._exit(ExitStatus(code, 0))

    def die(self, number: int) -> None:
        """Die of a signal."""
        self._exit(ExitStatus(0, number))

    def fail(self, error: CommandError) -> None:
        """Be lost, as if its spawner had died."""
        self._exited = True
        self.close()
        self._child.failed(error)

    def receive(self, number: int) -> None:
        """Take a signal, as a program without handlers does."""
        if self._exited:
            return
        self.signals.append(number)
        if number == signal.SIGKILL or (number in _ENDING and not self.stubborn):
            self.die(number)

    def begin(self) -> None:
        """Say that it runs."""
        if not self._exited:
            self._child.started(self.pid)

    def end(self) -> None:
        """Say that nothing is left of it."""
        self._child.ended(0)

    def close(self) -> None:
        """Close its ends of the pipes; harmless to repeat."""
        for fd in self._outputs:
            os.close(fd)
        if self._stdin >= 0:
            os.close(self._stdin)
        self._outputs, self._stdin = [], -1

    def _exit(self, status: ExitStatus) -> None:
        if not self._exited:
            self._exited = True
            self.close()
            self._child.exited(status)


class FakeProcesses:
    """Stands for the spawners and the system's processes; to be used within one event loop.

    Attributes:
        started: every process, in order.
        refusal: when set, no program can be started, for this reason.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._numbers = itertools.count(1)
        self._by_number: dict[int, FakeProcess] = {}
        self.started: list[FakeProcess] = []
        self.refusal: CommandError | None = None

    @property
    def running(self) -> list[FakeProcess]:
        """Those that have not exited."""
        return [process for process in self.started if process.running]

    # -- as the manager sees it ---------------------------------------------------------------

    @property
    def load(self) -> int:
        """Processes that have not ended."""
        return len(self._by_number)

    def choose(self) -> FakeProcesses:
        """Choose a spawner: there is one."""
        return self

    def pids(self) -> list[int]:
        """There are no spawners."""
        return []

    def close(self) -> None:
        """Give up what is open."""
        for process in self.started:
            process.close()

    def start(self, child: SpawnedChild, spec: ProgramSpec, fds: list[int], has_stdin: bool) -> int:
        """Start one, a moment later."""
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        if self.refusal is not None:
            for fd in fds:
                os.close(fd)
            loop.call_soon(child.failed, self.refusal)
            return number
        stdin = fds[2] if has_stdin else -1
        process = FakeProcess(child, spec, _FIRST_PID + number, fds[:2], stdin)
        self._by_number[number] = process
        self.started.append(process)
        loop.call_soon(process.begin)
        return number

    def signal(self, number: int, sig: int) -> None:
        """Send a signal, a moment later."""
        process = self._by_number.get(number)
        if process is not None:
            asyncio.get_running_loop().call_soon(process.receive, sig)

    def stop(self, number: int, sig: int) -> None:
        """Send a signal to everything of a job: here there is one process."""
        self.signal(number, sig)

    def end(self, number: int, patience: float = 0.0) -> None:
        """End what is left: nothing."""
        del patience
        process = self._by_number.pop(number)
        asyncio.get_running_loop().call_soon(process.end)


class FakeOutside:
    """Stands for the world around a manager: sink, journal and clock in one.

    Attributes:
        results: of jobs, by ID.
        messages: `(job, level, text)` in order.
        events: `(kind, job, fields)` in order.
    """

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.results: dict[str, JobResult] = {}
        self.messages: list[tuple[str, int, str]] = []
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def message(self, job: Job, level: int, text: str, *, whole: bool) -> None:
        """Remember a message."""
        del whole
        self.messages.append((job.id, level, text))

    def congested(self) -> bool:
        """Never."""
        return False

    def finished(self, job: Job, result: JobResult) -> None:
        """Remember a result."""
        self.results[job.id] = result

    def event(self, kind: str, job: Job, fields: Mapping[str, object]) -> None:
        """Remember an event."""
        self.events.append((kind, job.id, dict(fields)))

    async def running(self, jobs: list[Job]) -> None:
        """Remember nothing."""

    async def waiting(self, jobs: list[Job]) -> None:
        """Remember nothing."""

    def now_ms(self) -> int:
        """This machine's time."""
        return time.time_ns() // 1_000_000
