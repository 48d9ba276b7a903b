"""What jobs write: kept for their results, and passed on to whoever wants it as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from corex_node.manager.jobs import Job, Output
from corex_node.manager.limits import Limits
from corex_node.manager.ports import MessageSink
from corex_node.process.inband import InBand, Piece
from corex_shared.states import RESULT_LEVELS, Level


class OutputRelay:
    """Takes the output of all jobs of a manager."""

    def __init__(self, sink: MessageSink, limits: Limits) -> None:
        """Pass messages on to a sink. To be made within a running event loop."""
        self._sink = sink
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._held_up: set[Job] = set()

    def wrote(self, job: Job, stream: int, data: bytes) -> bool:
        """Take output of a job; False asks it to write no more until `resume`."""
        output = self._output(job, stream)
        output.written += len(data)
        if output.reader is None:
            output.reader = InBand(output.level)
        for piece in output.reader.feed(data):
            self._take(job, piece)
        if output.reader.holds and job.partial_timer is None and job.demand.wants(output.level):
            job.partial_timer = self._loop.call_later(self._limits.partial, self._pass_partial, job)
        if not self._sink.congested() or not job.demand.wants(output.level):
            return True
        self._held_up.add(job)
        return False

    def _take(self, job: Job, piece: Piece) -> None:
        """Keep what the result is to have of a piece, and pass it on to whoever wants it."""
        level, text, addressed = piece
        if level <= Level.STDERR:
            self._output(job, level).tail.feed(text.encode())
        elif level in RESULT_LEVELS:
            job.data = (text, level)
        elif level == Level.CRITICAL:
            job.critical = text
        if job.demand.wants(level):
            self._sink.message(job, level, text, whole=addressed)

    def resume(self) -> None:
        """Let all jobs write on that were asked not to."""
        held_up, self._held_up = self._held_up, set()
        for job in held_up:
            if job.execution is not None:
                job.execution.resume()

    def end_attempt(self, job: Job) -> None:
        """Pass on what is held back at the end of an attempt; the next begins afresh."""
        self._held_up.discard(job)
        self._pass_held(job, InBand.finish)
        for output in (job.stdout, job.stderr):
            if output is not None:
                output.reader = None

    def _output(self, job: Job, stream: int) -> Output:
        if stream == Level.STDOUT:
            if job.stdout is None:
                job.stdout = Output(Level.STDOUT, self._limits.kept_output)
            return job.stdout
        if job.stderr is None:
            job.stderr = Output(Level.STDERR, self._limits.kept_output)
        return job.stderr

    def _pass_partial(self, job: Job) -> None:
        job.partial_timer = None
        self._pass_held(job, InBand.flush)

    def _pass_held(self, job: Job, take: Callable[[InBand], list[Piece]]) -> None:
        for output in (job.stdout, job.stderr):
            if output is not None and output.reader is not None:
                for piece in take(output.reader):
                    self._take(job, piece)
