"""The named queues of a node, and of the fleet: `queue.*`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct, field

from corex.ask import Question, reader


class QueueEntry(Struct, frozen=True):
    """One queue that is held.

    Attributes:
        queue: its name.
        holder: ID of the job that holds it.
        stage: of that job.
        starttime: when that job was first started, in ms since the epoch; 0 before.
        waiters: IDs of the jobs that wait for it, in order; in a queue of the fleet as
            `<node>/<job>`.
        scope: whose queue it is: `node` or `fleet`.
        node: that the holder of a queue of the fleet is of; the stage and start of a holder are
            known of the asked node's own jobs only.
        token: fencing token of the holder of a queue of the fleet; 0 when nobody holds it.
        since: when that holder got the queue, in ms since the epoch.
    """

    queue: str
    holder: str
    stage: str = ""
    starttime: int = 0
    waiters: list[str] = field(default_factory=list)
    scope: str = "node"
    node: str = ""
    token: int = 0
    since: int = 0


QueueEntries: TypeAlias = list[QueueEntry]

_flag = reader(bool)
_entries = reader(QueueEntries)


def list_queues() -> Question[QueueEntries]:
    """List the queues that are held, and those of the fleet that the node has to do with."""
    return Question("queue.list", _entries, control=True)


def release_queue(queue: str, scope: Literal["node", "fleet"]) -> Question[bool]:
    """Take a queue from the job that holds it; answers whether somebody held it."""
    arguments = {"queue": queue}
    if scope != "node":
        arguments["scope"] = scope
    return Question("queue.release", _flag, arguments, control=True)
