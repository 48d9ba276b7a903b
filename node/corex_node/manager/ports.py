"""What a process manager needs of the world outside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from corex_node.manager.jobs import Job
from corex_shared.models import JobResult


class MessageSink(Protocol):
    """Where messages go."""

    def message(self, job: Job, level: int, text: str, *, whole: bool) -> None:
        """Take a message that the job's demand wants; a `whole` one is joined with no other."""

    def congested(self) -> bool:
        """Whether messages come faster than they go."""


class Sink(MessageSink, Protocol):
    """Where messages, events and results go; `OutputRelay.resume` ends a congestion."""

    def finished(self, job: Job, result: JobResult) -> None:
        """Take the one result of a job."""

    def event(self, kind: str, job: Job, fields: Mapping[str, object]) -> None:
        """Take an event in the life of a job, such as the end of one run of several."""


class Journal(Protocol):
    """Remembers what must be known after a crash."""

    async def running(self, jobs: list[Job]) -> None:
        """Return when it is remembered that these jobs, which waited, run now."""

    async def waiting(self, jobs: list[Job]) -> None:
        """Return when it is remembered that these jobs, which ran, wait for their next run."""


class Clock(Protocol):
    """Tells the time that others go by."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""


class Statistics(Protocol):
    """Where samples go."""

    def record(self, text: str) -> object:
        """Take samples, a line each: `key:value|A|tag=v,…`; never raises."""


class Tap(Protocol):
    """Sees messages of all jobs, on the event loop: it must be quick and must not raise.

    Attributes:
        levels: of the messages that it wants now.
    """

    levels: frozenset[int]

    def message(self, job: Job, level: int, text: str, epoch: int) -> None:
        """Take a message that came at `epoch` (ns)."""
