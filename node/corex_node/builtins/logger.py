"""`logger.set_level`, `logger.reopen`, `logger.subscribe`, `logger.unsubscribe`."""

from __future__ import annotations

import msgspec

from corex_node import logs
from corex_node.feeds import Feeds
from corex_node.manager.registry import NoArguments, Registry
from corex_shared.errors import BadRequestError, InternalError
from corex_shared.identifiers import is_valid_id
from corex_shared.models import LevelNumber

# The agent knows four levels; other loggers have more, each of which is taken for the nearest one
# that hides no error.
_LEVELS = {level: level for level in logs.LEVELS} | {
    "trace": "debug",
    "notice": "warning",
    "warn": "warning",
    "critical": "error",
    "fatal": "error",
}


class LevelArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `logger.set_level`: debug, info, warning or error."""

    level: str


class SubscribeArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `logger.subscribe`.

    Attributes:
        queue: names the list; a new name is made when there is none.
        levels: of messages; the node's log levels when there are none.
    """

    queue: str | None = None
    levels: list[LevelNumber] | None = None


class UnsubscribeArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `logger.unsubscribe`: the name of a list, as it was subscribed to."""

    queue: str


def register(registry: Registry, feeds: Feeds) -> None:
    """Add the commands to a registry."""

    def subscribe(arguments: SubscribeArguments) -> str:
        """Have messages of jobs written to a list; answer its name in Redis.

        Raises:
            BadRequestError: the queue is no identifier.
            ServiceUnavailableError: there are too many subscriptions.
        """
        queue = arguments.queue or ""
        return feeds.subscribe(_checked(queue) if queue else "", arguments.levels or ())

    async def unsubscribe(arguments: UnsubscribeArguments) -> None:
        """Remove a list, and write to it no more.

        Raises:
            BadRequestError: the queue is no identifier.
        """
        await feeds.unsubscribe(_checked(arguments.queue))

    registry.command("logger.set_level", LevelArguments, inline=True)(set_level)
    registry.command("logger.reopen", NoArguments)(reopen)
    registry.command("logger.subscribe", SubscribeArguments, inline=True)(subscribe)
    registry.command("logger.unsubscribe", UnsubscribeArguments)(unsubscribe)


def set_level(arguments: LevelArguments) -> None:
    """Change the level of the agent's own log.

    Raises:
        BadRequestError: there is no such level.
    """
    level = _LEVELS.get(arguments.level.lower())
    if level is None:
        known = ", ".join(logs.LEVELS)
        raise BadRequestError(f"level: {arguments.level[:40]!r}: one of {known} expected")
    logs.set_level(level)


def reopen(_: NoArguments) -> None:
    """Open the file of the agent's own log anew.

    Raises:
        InternalError: it cannot be opened; the former one is written on.
    """
    try:
        logs.reopen()
    except OSError as error:
        raise InternalError(f"the log's file cannot be opened: {error}") from error


def _checked(queue: str) -> str:
    if not is_valid_id(queue):
        raise BadRequestError(f"queue: {queue[:140]!r}: no identifier")
    return queue
