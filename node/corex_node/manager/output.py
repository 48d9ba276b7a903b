"""What jobs write: kept for their results, and passed on to whoever wants it as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from corex_node.manager.abilities import resume_process
from corex_node.manager.jobs import Job, Output
from corex_node.manager.limits import Limits
from corex_node.manager.messages import JobMessage, MessageLog, Subscription
from corex_node.manager.observers import Observers
from corex_node.manager.ports import MessageSink, Statistics, Tap
from corex_node.process.inband import InBand, Piece
from corex_shared.states import RESULT_LEVELS, Level, Stage

_DATA_AT_MOST = 8 * 1024 * 1024
"""Characters of an answer that a result holds."""


class OutputRelay:
    """Takes the output of all jobs of a manager.

    Attributes:
        taps: see messages of all jobs on the event loop.
        statistics: gets the samples, None for nobody.
    """

    def __init__(self, sink: MessageSink, limits: Limits, observers: Observers) -> None:
        """Pass messages on to a sink. To be made within a running event loop."""
        self._sink = sink
        self._limits = limits
        self._observers = observers
        self._loop = asyncio.get_running_loop()
        self._held_up: set[Job] = set()
        self._relief: asyncio.Future[None] | None = None
        self.taps: list[Tap] = []
        self.statistics: Statistics | None = None

    # -- from programs ------------------------------------------------------------------------

    def wrote(self, job: Job, stream: int, data: bytes) -> bool:
        """Take output of a job; False asks it to write no more until `resume`."""
        output = self._output(job, stream)
        output.written += len(data)
        if job.flags.no_output:
            return True
        if output.reader is None:
            output.reader = InBand(output.level)
        for piece in output.reader.feed(data):
            self._take(job, output, piece)
        if output.reader.holds and job.partial_timer is None:
            job.partial_timer = self._loop.call_later(self._limits.partial, self._pass_partial, job)
        if not self._sink.congested() or not job.demand.wants(output.level):
            return True
        self._held_up.add(job)
        return False

    def _take(self, job: Job, output: Output, piece: Piece) -> None:
        """Keep what the result is to have of a piece, and pass it on."""
        level, text, addressed, more = piece
        if level <= Level.STDERR:
            self._output(job, level).tail.feed(text.encode())
        elif level in RESULT_LEVELS:
            before = job.data[0] if output.answering else ""
            job.data = (before + text[: max(0, _DATA_AT_MOST - len(before))], level)
            job.data_cut = len(before) + len(text) > _DATA_AT_MOST
            output.answering = more
        elif level == Level.CRITICAL:
            job.critical = text
        self.say(job, level, text, whole=addressed)

    def end_attempt(self, job: Job) -> None:
        """Pass on what is held back at the end of an attempt; the next begins afresh."""
        self._held_up.discard(job)
        self._pass_held(job, InBand.finish)
        for output in (job.stdout, job.stderr):
            if output is not None:
                output.reader = None
                output.answering = False

    # -- from built-ins -----------------------------------------------------------------------

    def tell(self, job: Job, level: Level, text: str) -> None:
        """Take a message of a built-in; its result has of it what a program's would."""
        if job.flags.no_output:
            return
        is_output = level <= Level.STDERR
        output = self._output(job, level if is_output else Level.STDOUT)
        if is_output:
            output.written += len(text.encode())
        self._take(job, output, Piece(level, text, True, False))

    # -- to those who listen ------------------------------------------------------------------

    def say(self, job: Job, level: int, text: str, *, whole: bool = True) -> None:
        """Pass a message of a job on to everyone who wants it; none follows its end."""
        if job.stage is Stage.FINISHED:
            return
        self.forward(job, level, text, whole=whole)
        message = JobMessage(level, text, time.time_ns(), whole)
        if level != Level.STATSD:  # samples are of the moment
            self._keep(job, message)
        for subscription in job.subscriptions or ():
            subscription.push(message)
        for tap in self.taps:
            if level in tap.levels:
                tap.message(job, level, text, message.epoch)
        if level == Level.STATSD:
            self.sample(job.id, text)
        if self._observers:
            self._observers.message(job.command, message)
        for hook, courier in job.hooks:
            courier.tell(partial(hook.message, message), is_message=True)

    def _keep(self, job: Job, message: JobMessage) -> None:
        if job.messages is None:
            job.messages = MessageLog(self._limits.backlog_messages, self._limits.backlog)
        job.messages.append(message)

    def forward(self, job: Job, level: int, text: str, *, whole: bool = True) -> None:
        """Pass a message on to the caller's side only."""
        if not job.local and job.stage is not Stage.FINISHED and job.demand.wants(level):
            self._sink.message(job, level, text, whole=whole)

    def sample(self, job_id: str, text: str) -> None:
        """Take samples, of a job or (for an empty ID) of the node."""
        if self.statistics is not None:
            self.statistics.record(text)
        if self._observers:
            self._observers.statistics(job_id, text)

    # -- followers ----------------------------------------------------------------------------

    def subscribe(self, job: Job) -> Subscription:
        """Follow a job from the beginning of its backlog."""
        limits = self._limits
        made = Subscription(job.messages, limits.followed_messages, limits.followed)
        if job.subscriptions is None:
            job.subscriptions = []
        job.subscriptions.append(made)
        return made

    def unsubscribe(self, job: Job, subscription: Subscription) -> None:
        """Follow no more; harmless to repeat."""
        subscription.close()
        if job.subscriptions is not None and subscription in job.subscriptions:
            job.subscriptions.remove(subscription)

    def end_job(self, job: Job) -> None:
        """Tell those who follow a job that nothing comes any more."""
        for subscription in job.subscriptions or ():
            subscription.close()
        job.subscriptions = None

    # -- congestion ---------------------------------------------------------------------------

    def resume(self) -> None:
        """Let all jobs write on that were asked not to."""
        held_up, self._held_up = self._held_up, set()
        for job in held_up:
            resume_process(job.execution)
        if self._relief is not None:
            self._relief.set_result(None)
            self._relief = None

    async def drained(self) -> None:
        """Return when the sink takes messages as fast as they come."""
        while self._sink.congested():
            if self._relief is None:
                self._relief = self._loop.create_future()
            await asyncio.shield(self._relief)

    # -- parts of lines -----------------------------------------------------------------------

    def _output(self, job: Job, stream: int) -> Output:
        kept = None if job.flags.complete else self._limits.kept_output
        if stream == Level.STDOUT:
            if job.stdout is None:
                job.stdout = Output(Level.STDOUT, kept)
            return job.stdout
        if job.stderr is None:
            job.stderr = Output(Level.STDERR, kept)
        return job.stderr

    def _pass_partial(self, job: Job) -> None:
        job.partial_timer = None
        self._pass_held(job, InBand.flush)

    def _pass_held(self, job: Job, take: Callable[[InBand], list[Piece]]) -> None:
        for output in (job.stdout, job.stderr):
            if output is not None and output.reader is not None:
                for piece in take(output.reader):
                    self._take(job, output, piece)
