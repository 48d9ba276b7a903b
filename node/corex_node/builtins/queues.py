"""`queue.list`, `queue.release`."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from corex_node.manager.context import Context
from corex_node.manager.ports import FleetQueue
from corex_node.manager.registry import NoArguments, Registry
from corex_shared.errors import BadRequestError
from corex_shared.identifiers import is_valid_id


class QueueArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command about one queue: its name, and whose it is (the node's if None)."""

    queue: str
    scope: Literal["node", "fleet"] | None = None


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("queue.list", NoArguments, repeatable=True)(list_queues)
    registry.command("queue.release", QueueArguments)(release)


async def list_queues(context: Context, _: NoArguments) -> list[dict[str, Any]]:
    """List the named queues that are held: who holds each, and who waits, in order.

    Of those that all nodes share, the ones in which a job of this node holds or waits; with all
    who wait, of whatever node.

    Raises:
        ServiceUnavailableError: Redis cannot be asked about those.
    """
    fleet = context.manager.lineup.fleet
    listed = _queues_of_node(context)
    if fleet is not None:
        listed += [_shared(context, entry) for entry in await fleet.held()]
    return listed


def _queues_of_node(context: Context) -> list[dict[str, Any]]:
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


def _shared(context: Context, entry: FleetQueue) -> dict[str, Any]:
    """Show a queue of all nodes; what the holder is at is known of this node's jobs only."""
    manager = context.manager
    holder = manager.jobs.get(entry.holder) if entry.node == manager.node else None
    return {
        "queue": entry.queue,
        "scope": "fleet",
        "node": entry.node,
        "holder": entry.holder,
        "token": entry.token,
        "since": entry.since,
        "stage": holder.stage if holder is not None else "",
        "starttime": holder.started_ms if holder is not None else 0,
        "waiters": entry.waiters,
    }


async def release(context: Context, arguments: QueueArguments) -> bool:
    """Take a queue from the job that holds it, and give it to the next; false if nobody holds it.

    The job itself goes on: whoever releases a queue answers for what may then run beside it. A
    queue of all nodes may be released by any of them.

    Raises:
        BadRequestError: the name is none that a queue can have.
        ServiceUnavailableError: Redis did not answer, so that it may have been released or not.
    """
    if not is_valid_id(arguments.queue):
        raise BadRequestError(f"queue: {arguments.queue[:140]!r}: no identifier")
    lineup = context.manager.lineup
    if arguments.scope == "fleet":
        return lineup.fleet is not None and await lineup.fleet.release(arguments.queue)
    holder = lineup.queues.holder(arguments.queue)
    if holder is None:
        return False
    lineup.leave_queue(holder)
    return True
