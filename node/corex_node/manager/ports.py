"""What a process manager needs of the world outside it."""

from __future__ import annotations

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
    """Where messages and results go; `ProcessManager.resume_output` ends a congestion."""

    def finished(self, job: Job, result: JobResult) -> None:
        """Take the one result of a job."""


class Journal(Protocol):
    """Remembers what must be known after a crash."""

    async def running(self, jobs: list[Job]) -> None:
        """Return when it is remembered that these jobs, which waited, run now."""


class Clock(Protocol):
    """Tells the time that others go by."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
