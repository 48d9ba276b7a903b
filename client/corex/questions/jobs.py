"""The jobs of a node: `job.*`."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from corex.ask import Question, reader


class JobCommand(Struct, frozen=True):
    """The command of a job, without what it is fed and its environment.

    Attributes:
        id: the job ID.
        command: its name.
        arguments: its arguments.
        queue: the queue that it waits in or holds.
        max_time: seconds that one run may take.
        tags: the caller's own.
    """

    id: str
    command: str
    arguments: dict[str, Any] | None = None
    queue: str | None = None
    max_time: float | None = None
    tags: list[str] | None = None


class JobEntry(Struct, frozen=True):
    """One job that a node has not finished, and what its processes use together.

    Attributes:
        cmd: its command.
        stage: `claimed`, `waiting` (for its queue or its next run) or `running`.
        pid: of its process, 0 when it has none.
        starttime: when it was first started, in ms since the epoch; 0 before.
        cpu: percent of one processor.
        rss: bytes in memory.
        vms: bytes of address space.
        swap: bytes that are swapped out.
    """

    cmd: JobCommand
    stage: str
    pid: int = 0
    starttime: int = 0
    cpu: float = 0.0
    rss: int = 0
    vms: int = 0
    swap: int = 0

    @property
    def id(self) -> str:
        """The job ID."""
        return self.cmd.id


JobEntries: TypeAlias = list[JobEntry]

_flag = reader(bool)
_entries = reader(JobEntries)


def list_jobs(job: str | None) -> Question[JobEntries]:
    """List the jobs of a node, or one of them."""
    return Question("job.list", _entries, {"id": job}, control=True)


def kill_job(job: str, signal: int) -> Question[bool]:
    """Send a signal to a job; answers whether there is such a job."""
    return Question("job.kill", _flag, {"id": job, "signal": signal}, control=True)


def unschedule_job(job: str) -> Question[bool]:
    """Have no further run of a job follow; answers whether there is such a job."""
    return Question("job.unschedule", _flag, {"id": job}, control=True)


def kill_all_jobs() -> Question[bool]:
    """Kill all jobs."""
    return Question("job.killall", _flag, control=True)
