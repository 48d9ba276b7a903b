"""What a process manager needs of the world outside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

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


class FleetQueue(Struct, frozen=True):
    """A queue that all nodes share, as it stands.

    Attributes:
        queue: its name.
        node: of the job that holds it; empty when none does.
        holder: that job.
        token: fencing token of that job.
        since: when it got the queue, in ms since the epoch.
        waiters: jobs that wait, in order, each as `<node>/<job>`.
    """

    queue: str
    node: str
    holder: str
    token: int
    since: int
    waiters: list[str]


class FleetQueues(Protocol):
    """Queues that all nodes share: one job at a time, in the order in which they entered.

    Whoever serves them calls `Tenure.granted` and `Tenure.ousted` of the jobs that entered.
    """

    def enter(self, job: Job) -> None:
        """Have a job stand in line for its queue."""

    def leave(self, job: Job) -> None:
        """Give back a job's queue or its place in the line, if it has any."""

    def disown(self, queue: str, job_id: str) -> None:
        """Give back what a predecessor's job has, of which no job was made again."""

    def holds(self, job: Job) -> bool:
        """Whether a job holds its queue, for certain."""

    async def held(self) -> list[FleetQueue]:
        """Show the queues in which jobs of this node hold or wait, by name.

        Raises:
            ServiceUnavailableError: nobody can tell now.
        """

    async def shown(self, queue: str) -> FleetQueue:
        """Show one queue; one that nobody holds or waits for has no holder and no waiters.

        Raises:
            ServiceUnavailableError: nobody can tell now.
        """

    async def release(self, queue: str) -> bool:
        """Take a queue from the job that holds it, of whatever node; False when none does.

        The job itself goes on.

        Raises:
            ServiceUnavailableError: it is not known whether it was done.
        """


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
