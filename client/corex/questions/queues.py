"""The named queues of a node: `queue.*`."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from corex.ask import Question, reader


class QueueEntry(Struct, frozen=True):
    """One queue that is held.

    Attributes:
        queue: its name.
        holder: ID of the job that holds it.
        stage: of that job.
        starttime: when that job was first started, in ms since the epoch; 0 before.
        waiters: IDs of the jobs that wait for it, in order.
        scope: whose queue it is.
    """

    queue: str
    holder: str
    stage: str = ""
    starttime: int = 0
    waiters: list[str] = field(default_factory=list)
    scope: str = "node"


QueueEntries: TypeAlias = list[QueueEntry]

_flag = reader(bool)
_entries = reader(QueueEntries)


def list_queues() -> Question[QueueEntries]:
    """List the queues that are held."""
    return Question("queue.list", _entries, control=True)


def release_queue(queue: str) -> Question[bool]:
    """Take a queue from the job that holds it; answers whether somebody held it."""
    return Question("queue.release", _flag, {"queue": queue}, control=True)
