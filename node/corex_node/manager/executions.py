"""Attempts of jobs: a program in a child process, or a built-in in the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec import structs

from corex_node.manager.abilities import Process
from corex_node.manager.jobs import Job
from corex_node.manager.outcome import Outcome, of_answer, of_error, of_exit
from corex_node.manager.registry import Kind, Program
from corex_node.manager.threads import DaemonThreads
from corex_node.process.child import Child
from corex_node.process.exit_status import ExitStatus
from corex_node.process.program import JOB_MARK, NODE_MARK, TOKEN_VARIABLE
from corex_node.process.spawner_pool import Spawners
from corex_node.process.usage import Usage
from corex_node.process.usage_meter import UsageMeter
from corex_node.process.watcher import Watcher
from corex_shared.errors import CommandError

_log = structlog.get_logger()

Ended = Callable[[Job, Outcome], None]
Wrote = Callable[[Job, int, bytes], bool]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What attempts need of the manager.

    Attributes:
        scope: tells whose jobs these are; every process bears it.
        watcher: of children's descriptors.
        spawners: start programs.
        threads: for built-ins that may wait.
        linger: see `Child`.
        unprivileged: whether programs are to have fewer capabilities now.
        began: hears that an attempt runs.
        wrote: takes output of a program.
        ended: takes the outcome, once.
    """

    scope: Callable[[], str]
    watcher: Watcher
    spawners: Spawners
    threads: DaemonThreads
    linger: float
    unprivileged: Callable[[], bool]
    began: Callable[[Job], None]
    wrote: Wrote
    ended: Ended


Factory = Callable[[Job, Surroundings], Process]
"""Makes what runs for a job. It calls `began` once it runs and `ended` at its end, both on the
event loop; `wrote` with what it writes."""


class ProgramExecution:
    """A program in a child process."""

    __slots__ = ("_around", "_child", "_job", "_program")

    def __init__(self, job: Job, program: Program, around: Surroundings) -> None:
        """Prepare it."""
        self._job = job
        self._program = program
        self._around = around
        self._child = Child(around.watcher, around.spawners.choose(), self, around.linger)

    @property
    def pid(self) -> int:
        """Process ID of the program, 0 until it runs."""
        return self._child.pid

    def start(self) -> None:
        """Have the program started.

        Raises:
            CommandError: it could not be.
        """
        marks = {JOB_MARK: self._job.id, NODE_MARK: self._around.scope()}
        if self._job.fencing_token:
            marks[TOKEN_VARIABLE] = str(self._job.fencing_token)
        spec = structs.replace(self._program.spec, marks=marks)
        if self._job.flags.no_group or self._around.unprivileged():
            spec = structs.replace(
                spec,
                own_group=not self._job.flags.no_group,
                unprivileged=self._around.unprivileged(),
            )
        self._child.start(spec, self._program.stdin)

    def stop(self, grace: float) -> None:
        """TERM to its group, KILL after `grace` seconds."""
        self._child.stop(grace)

    def signal(self, number: int) -> bool:
        """Send a signal to its group."""
        return self._child.signal(number)

    def resume(self) -> None:
        """Read its output on."""
        self._child.resume()

    def usage(self) -> Usage:
        """What the tree of its processes uses."""
        if not self.pid:
            return Usage()
        measured = UsageMeter().measure({self._job.id: self.pid})
        return measured.get(self._job.id, Usage())

    def child_started(self) -> None:
        """Pass the start on."""
        self._around.began(self._job)

    def child_wrote(self, stream: int, data: bytes) -> bool:
        """Pass output on."""
        return self._around.wrote(self._job, stream, data)

    def child_failed(self, error: CommandError) -> None:
        """Pass the failure on."""
        self._around.ended(self._job, of_error(error))

    def child_ended(self, status: ExitStatus, survivors: int) -> None:
        """Pass the end on."""
        self._job.survivors = survivors
        self._around.ended(self._job, of_exit(status))


class BuiltinExecution:
    """A function of the agent."""

    __slots__ = (
        "_around",
        "_call",
        "_cancelled",
        "_done",
        "_future",
        "_give_up_timer",
        "_job",
        "_thread_call",
    )

    def __init__(
        self,
        job: Job,
        call: Callable[[], Any],
        around: Surroundings,
        cancelled: Callable[[], object] | None = None,
    ) -> None:
        """Prepare it.

        Args:
            job: whose attempt it is.
            call: the function with its arguments.
            around: the manager's side.
            cancelled: called when it is stopped, for those who can tell the function.
        """
        self._job = job
        self._call = call
        self._around = around
        self._cancelled = cancelled
        self._future: asyncio.Future[Outcome] | None = None
        self._thread_call: Future[Outcome] | None = None
        self._give_up_timer: asyncio.TimerHandle | None = None
        self._done = False

    def start(self) -> None:
        """Call the function, where its kind says.

        Raises:
            ServiceUnavailableError: there is no thread for it.
        """
        kind = self._job.entry.kind
        if kind is Kind.THREAD:
            self._thread_call = self._around.threads.submit(self._answer)
            self._future = asyncio.wrap_future(self._thread_call)
        self._around.began(self._job)
        if kind is Kind.INLINE:
            self._end(self._answer())
            return
        if self._future is None:
            self._future = asyncio.get_running_loop().create_task(self._answer_later())
        self._future.add_done_callback(self._finished)

    def stop(self, grace: float) -> None:
        """Cancel it. What cannot be stopped is heard no more, and goes on without a result.

        That is a thread, and a coroutine that has not ended after `grace` seconds.
        """
        if self._future is None or self._done:
            return
        if self._cancelled is not None:
            self._cancelled()
        if self._thread_call is not None:
            self._end(_stopped())
            self._around.threads.give_up(self._thread_call)
            self._future.cancel()
            return
        if self._give_up_timer is None:
            self._future.cancel()  # once: another time would end what it does about the first
        else:
            self._give_up_timer.cancel()
        self._give_up_timer = asyncio.get_running_loop().call_later(grace, self._give_up)

    def _give_up(self) -> None:
        if not self._done:
            _log.warning("builtin.deaf", job=self._job.id, command=self._job.command.command)
            self._end(_stopped())

    def _answer(self) -> Outcome:
        try:
            return of_answer(self._call())
        except BaseException as error:  # noqa: BLE001 - whatever a built-in raises is its answer
            return self._failed(error)

    async def _answer_later(self) -> Outcome:
        try:
            return of_answer(await self._call())
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a built-in raises is its answer
            return self._failed(error)

    def _finished(self, future: asyncio.Future[Outcome]) -> None:
        self._end(_stopped() if future.cancelled() else future.result())

    def _failed(self, error: BaseException) -> Outcome:
        if not isinstance(error, CommandError):
            _log.error(
                "builtin.failed",
                job=self._job.id,
                command=self._job.command.command,
                exc_info=(type(error), error, error.__traceback__),
            )
        return of_error(error)

    def _end(self, outcome: Outcome) -> None:
        if self._done:  # it was stopped: nobody waits for what it says
            return
        self._done = True
        if self._give_up_timer is not None:
            self._give_up_timer.cancel()
        self._around.ended(self._job, outcome)


def _stopped() -> Outcome:
    return of_error(CommandError("stopped"))
