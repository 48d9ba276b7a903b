"""One job of a node in memory."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from corex.testing.answers import PROGRAMS, Answer, Handler, Outcome, of_error, of_value
from corex.testing.store import now_ms
from corex_shared import codec
from corex_shared.codec import Encoding
from corex_shared.finishing import Finish
from corex_shared.models import Command, JobResult, Message
from corex_shared.states import DEFAULT_LOG_LEVELS, Flag, JobState, Level, Stage

if TYPE_CHECKING:
    from corex.testing.node import MemoryNode

KEPT_OUTPUT = 128 * 1024
"""Bytes of each output stream that a result has, as of a node that is not told otherwise."""
_HINT_LIMIT = 8 * 1024
"""Results up to this size travel in the inbox; of larger ones it has the ID only."""


class JobEnded(Exception):
    """Raised by `MemoryJob.sleep`: the job was killed, or its time is up. Let it pass."""


class _Output:
    """What a job wrote to one stream: the last part of it, and how much it was."""

    def __init__(self) -> None:
        self.tail = b""
        self.written = 0

    def write(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-KEPT_OUTPUT:]
        self.written += len(data)

    @property
    def text(self) -> str:
        return self.tail.decode(errors="replace")


class MemoryJob:
    """A job, as the function that answers its command sees it.

    Attributes:
        id: the job ID.
        command: what was asked.
        node: whose job it is.
        stage: where it stands.
        runs: how often it was begun.
        signals: that it was sent, in order.
    """

    def __init__(self, node: MemoryNode, command: Command, encoding: Encoding, claim: str) -> None:
        """Make a job of a command; `claim` names its payload."""
        self.id = command.job_id
        self.command = command
        self.node = node
        self.stage = Stage.CLAIMED
        self.runs = 0
        self.signals: list[int] = []
        self.claim = claim
        self.encoding = encoding
        self.payload = b""
        self.claimed_ms = now_ms()
        self.started_ms = 0
        self.time_ms = 0
        self.failed_runs = 0
        self.unscheduled = False
        self.last_outcome: Outcome | None = None
        self.answer: Answer | Handler | None = None
        self._outputs = (_Output(), _Output())
        self._seq = 0
        self._began = 0.0
        self._stop = threading.Event()
        self._cancel: Callable[[], object] | None = None
        self._runners: dict[int, int] = {}  # thread → the run that it does
        self.levels = frozenset(command.log_levels) if command.log_levels else DEFAULT_LOG_LEVELS

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the command."""
        return self.command.arguments or {}

    @property
    def ended(self) -> bool:
        """Whether it was ended; what it does after that nobody sees."""
        return self._stop.is_set()

    @property
    def queue(self) -> tuple[str, str] | None:
        """The queue that it takes part in: whose it is, "" for the fleet's, and its name."""
        name = self.command.queue
        if name is None:
            return None
        return ("" if self.command.queue_scope == "fleet" else self.node.id), name

    def write(self, text: str, level: int = Level.STDOUT) -> None:
        """Write a message: to the job's output by default.

        Args:
            text: of the message.
            level: what it is; 1 and 2 are the output, which the result has, too.
        """
        with self.node.lock:
            if not self.ended and not self._is_of_old_run():
                self._write([(level, text)])

    def sleep(self, seconds: float) -> None:
        """Wait, unless and until the job is ended.

        Raises:
            JobEnded: it was killed, or its time is up.
        """
        forever = threading.TIMEOUT_MAX
        if self._is_of_old_run() or self._stop.wait(min(seconds, forever)):
            raise JobEnded(self.id)

    # -- as its node sees it ------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a run."""
        self.runs += 1
        self.stage = Stage.RUNNING
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._cancel = None
        if not self.started_ms:
            self.started_ms = now_ms()

    def execute(self) -> Outcome:
        """Do what is to be done; never raises."""
        stop, answer = self._stop, self.answer
        self._runners[threading.get_ident()] = self.runs
        if answer is None:
            return self._unanswered()
        try:
            said = answer if isinstance(answer, Answer) else self._call(answer)
            return self._say(said, stop) if isinstance(said, Answer) else of_value(said)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - its fault is the job's result
            return of_error(error)

    def _is_of_old_run(self) -> bool:
        """Whether the thread that asks is still at a run that another has followed."""
        return self._runners.get(threading.get_ident(), self.runs) != self.runs

    def _call(self, function: Handler) -> Any:
        wanted = _wants_job(function)
        said = function(self.arguments, self) if wanted else function(self.arguments)
        return asyncio.run(self._await(said)) if inspect.iscoroutine(said) else said

    async def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.ended:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError as error:
            raise JobEnded(self.id) from error

    def put_output(self, answer: Answer) -> None:
        """Write what a canned answer has to write."""
        texts = [(int(Level.STDOUT), answer.stdout), (int(Level.STDERR), answer.stderr)]
        self._write([item for item in texts if item[1]])

    def _say(self, answer: Answer, stop: threading.Event) -> Outcome:
        with self.node.lock:
            if not stop.is_set():
                self.put_output(answer)
        if answer.delay:
            self.sleep(answer.delay)
        return answer.outcome

    def _unanswered(self) -> Outcome:
        name = self.command.command
        hint = f"corex.testing: nothing says what {name} answers on node {self.node.id}"
        return of_error(RuntimeError(f"{hint}: use answer({name!r}, …) or command({name!r})"))

    def end(self) -> None:
        """End the run that is under way."""
        self._stop.set()
        if self.stage is Stage.RUNNING:
            self.time_ms = int((time.monotonic() - self._began) * 1000)
        if self._cancel is not None:
            with contextlib.suppress(RuntimeError):  # its loop has just been closed
                self._cancel()

    @property
    def is_program(self) -> bool:
        """Whether it runs a process, which dies of signals."""
        return self.command.command in PROGRAMS

    def finish(self, outcome: Outcome) -> Finish:
        """Make the end of the job, with its last message."""
        self.stage = Stage.FINISHED
        result = self._result(outcome)
        payload = codec.encode(result, self.encoding)
        hint = b""
        reply_to = self.command.reply_to
        if reply_to:
            is_short = len(payload) <= _HINT_LIMIT
            hint = payload if is_short else codec.encode_id(self.id, self.encoding)
        flags = (Flag.STREAM if self.command.stream else 0) | (
            Flag.SUCCESS if outcome.ok else Flag.ERROR
        )
        last = self._message(result.level or Level.STDOUT, result.data, flags)
        return Finish(
            job_id=self.id,
            result=payload,
            state=result.state.value,
            message=codec.encode(last, self.encoding),
            seq=last.seq,
            streams=bool(self.command.stream),
            to_node_log=bool(self.levels),
            reply_to=reply_to,
            hint=hint,
        )

    def _result(self, outcome: Outcome) -> JobResult:
        if outcome.state is JobState.LOST:
            self._forget()  # whoever writes it was not there
        out, err = self._outputs
        return JobResult(
            id=self.id,
            command=self.command.command,
            node=self.node.id,
            state=outcome.state,
            code=outcome.code,
            signal=outcome.signal,
            data=outcome.data,
            level=outcome.level,
            streams=(out.text, err.text),
            starttime=self.started_ms,
            time=self.time_ms,
            queued=max(0, self.started_ms - self.claimed_ms) if self.started_ms else 0,
            attempts=self.runs,
            tags=self.command.tags or [],
            stdout_bytes=out.written,
            stderr_bytes=err.written,
            truncated=any(output.written > len(output.tail) for output in self._outputs),
        )

    def _forget(self) -> None:
        self._outputs = (_Output(), _Output())
        self.started_ms = self.time_ms = self.runs = 0

    def _write(self, texts: list[tuple[int, str]]) -> None:
        messages = []
        for level, text in texts:
            if level in (Level.STDOUT, Level.STDERR):
                self._outputs[level - 1].write(text.encode())
            flags = Flag.STREAM if self.command.stream else 0
            messages.append(self._message(level, text, flags))
        self.node.publish(self, messages)

    def _message(self, level: int, text: str, flags: int) -> Message:
        seq, self._seq = self._seq, self._seq + 1
        return Message(self.id, self.node.id, seq, level, flags, text, time.time_ns())

    def judge(self, state: JobState, code: int, signal: int) -> Outcome:
        """Make the outcome of a run that somebody ended."""
        has_process = self.is_program and self.stage is Stage.RUNNING
        return Outcome(state, code, signal if has_process else 0)


def _wants_job(function: Handler) -> bool:
    """Whether a function takes the job beside the arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # it does not tell
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [
        one
        for one in parameters
        if one.kind in positional and one.default is inspect.Parameter.empty
    ]
    return len(wanted) > 1
