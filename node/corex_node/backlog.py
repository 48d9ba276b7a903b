"""Messages that wait for Redis: merged while they wait, bounded in bytes, oldest dropped. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from corex_node.ticket import Ticket
from corex_shared.states import Level

_MERGED_AT_MOST = 64 * 1024
"""Size in characters up to which neighbours of one level become one message."""
_OVERHEAD = 200
"""What a message weighs beside its text, in bytes, about."""


@dataclass(slots=True)
class Pending:
    """A message without its number yet."""

    level: int
    parts: list[str]
    size: int
    epoch: int
    whole: bool = False

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.parts)


@dataclass(slots=True)
class JobBacklog:
    """Messages of one job that wait, in order.

    Attributes:
        job_id: whose.
        ticket: numbers them.
        messages: oldest first.
        dropped: characters of messages that were dropped, all older than `messages`.
    """

    job_id: str
    ticket: Ticket
    messages: list[Pending] = field(default_factory=list)
    dropped: int = 0

    def take(self) -> list[Pending]:
        """Take all of them, what was dropped told by one of their own."""
        taken = self.messages
        if self.dropped:
            text = f"corex: {self.dropped} characters of output dropped, Redis was away\n"
            taken = [Pending(Level.WARNING, [text], len(text), time.time_ns()), *taken]
        return taken


class Backlog:
    """Messages of all jobs that wait.

    Attributes:
        size: about how many bytes they are.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._jobs: dict[str, JobBacklog] = {}
        self.size = 0

    def __bool__(self) -> bool:
        """Whether any message waits."""
        return bool(self._jobs)

    def add(
        self, job_id: str, ticket: Ticket, level: int, text: str, *, whole: bool = False
    ) -> None:
        """Add a job's next message; a `whole` one is joined with no other."""
        job = self._jobs.get(job_id)
        if job is None:
            job = self._jobs[job_id] = JobBacklog(job_id, ticket)
        last = job.messages[-1] if job.messages else None
        joins = last and last.level == level and not whole and not last.whole
        if last and joins and last.size + len(text) <= _MERGED_AT_MOST:
            last.parts.append(text)
            last.size += len(text)
            self.size += len(text)
            return
        job.messages.append(Pending(level, [text], len(text), time.time_ns(), whole))
        self.size += len(text) + _OVERHEAD

    def shrink(self, limit: int) -> int:
        """Drop the oldest messages until no more than `limit` bytes wait; return characters."""
        dropped = 0
        while self.size > limit:
            job = next((job for job in self._jobs.values() if job.messages), None)
            if job is None:
                break
            oldest = job.messages.pop(0)
            job.dropped += oldest.size
            dropped += oldest.size
            self.size -= oldest.size + _OVERHEAD
            # The next to lose some is another job: no job pays for all.
            self._jobs[job.job_id] = self._jobs.pop(job.job_id)
        return dropped

    def take(self) -> list[JobBacklog]:
        """Take everything."""
        jobs = list(self._jobs.values())
        self._jobs = {}
        self.size = 0
        return jobs
