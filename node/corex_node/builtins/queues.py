"""`queue.list`, `queue.release`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from corex_node.manager.context import Context
from corex_node.manager.registry import NoArguments, Registry


class QueueArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command about one queue."""

    queue: str


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("queue.list", NoArguments, inline=True, repeatable=True)(list_queues)
    registry.command("queue.release", QueueArguments, inline=True)(release)


def list_queues(context: Context, _: NoArguments) -> list[dict[str, Any]]:
    """List the named queues that are held: who holds each, and who waits, in order."""
    queues = context.manager.lineup.queues
    listed = []
    for name in queues.names():
        holder = queues.holder(name)
        if holder is not None:
            listed.append(
                {
                    "queue": name,
                    "scope": "node",
                    "holder": holder.id,
                    "stage": holder.stage,
                    "starttime": holder.started_ms,
                    "waiters": [job.id for job in queues.waiters(name)],
                }
            )
    return listed


def release(context: Context, arguments: QueueArguments) -> bool:
    """Take a queue from the job that holds it, and give it to the next; false if nobody holds it.

    The job itself goes on: whoever releases a queue answers for what may then run beside it.
    """
    lineup = context.manager.lineup
    holder = lineup.queues.holder(arguments.queue)
    if holder is None:
        return False
    lineup.leave_queue(holder)
    return True
