"""What jobs write: kept for their results, and passed on to whoever wants it as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from corex_node.manager.jobs import Job, Output
from corex_node.manager.limits import Limits
from corex_node.manager.ports import MessageSink
from corex_node.process.chunks import LineChunks
from corex_shared.states import Level


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
        output.tail.feed(data)
        if not job.demand.wants(output.level):
            return True
        if output.chunks is None:
            output.chunks = LineChunks()
        text = output.chunks.feed(data)
        if text:
            self._sink.message(job, output.level, text)
        if output.chunks.holds and job.partial_timer is None:
            job.partial_timer = self._loop.call_later(self._limits.partial, self._pass_partial, job)
        if not self._sink.congested():
            return True
        self._held_up.add(job)
        return False

    def resume(self) -> None:
        """Let all jobs write on that were asked not to."""
        held_up, self._held_up = self._held_up, set()
        for job in held_up:
            if job.execution is not None:
                job.execution.resume()

    def end_attempt(self, job: Job) -> None:
        """Pass on what is held back at the end of an attempt; the next begins afresh."""
        self._held_up.discard(job)
        self._pass_held(job, LineChunks.finish)
        for output in (job.stdout, job.stderr):
            if output is not None:
                output.chunks = None

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
        self._pass_held(job, LineChunks.flush)

    def _pass_held(self, job: Job, take: Callable[[LineChunks], str]) -> None:
        for output in (job.stdout, job.stderr):
            if output is not None and output.chunks is not None:
                text = take(output.chunks)
                if text:
                    self._sink.message(job, output.level, text)
