"""`core.subscribe`: a job's messages, from its backlog on, as the asking job's own stream."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from corex_node.manager.context import Context
from corex_node.manager.registry import Registry
from corex_shared.errors import NotAcceptableError, PreconditionFailedError
from corex_shared.states import Level

NAME = "core.subscribe"


class SubscribeArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `core.subscribe`: the job that is to be followed."""

    id: str


def register(registry: Registry) -> None:
    """Add the command to a registry."""
    registry.command(NAME, SubscribeArguments, private=True)(subscribe)


async def subscribe(context: Context, arguments: SubscribeArguments) -> dict[str, Any]:
    """Follow a job until it ends, or until this job is killed.

    A job that writes faster than its follower's messages go out is not slowed: the follower loses
    the oldest, and is told how much.

    Returns:
        The job's ID, its state and code, and how many characters were missed, those before the
        backlog included.

    Raises:
        NotFoundError: there is no such job.
        PreconditionFailedError: the command does not stream, so nobody would see it.
        NotAcceptableError: the job follows another itself.
    """
    if not context.job.command.stream:
        raise PreconditionFailedError(f"stream: {NAME} shows a job's messages as its own stream")
    followed = context.manager.job(arguments.id)
    if followed.command.command == NAME:
        raise NotAcceptableError(f"id: {arguments.id}: it follows a job itself")
    subscription = followed.subscribe()
    told = 0
    try:
        async for message in subscription:
            if subscription.missed > told:
                lost, told = subscription.missed - told, subscription.missed
                await context.relay(f"corex: {lost} characters missed\n", Level.WARNING)
            await context.relay(message.text, message.level)
    finally:
        followed.unsubscribe(subscription)
    result = followed.result
    return {
        "id": arguments.id,
        "state": result.state if result is not None else None,
        "code": result.code if result is not None else None,
        "missed": subscription.missed,
    }
