"""Commands in one round trip, whatever kind of Redis it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import redis
import redis.asyncio

from corex_shared.connection.answers import NO_MASTER, code_of, translate, translated
from corex_shared.connection.cluster import AsyncClusterClient, ClusterClient
from corex_shared.connection.endpoint import AsyncRedisClient, RedisClient
from corex_shared.connection.finding import doubt_master
from corex_shared.connection.routing import parted
from corex_shared.errors import StoreForbiddenError, StoreUnavailableError
from corex_shared.scripts import Barrier, Call, Step, all_scripts, describe, whole


def execute(
    client: RedisClient, steps: Iterable[Step], *, keep_refusals: bool = False
) -> list[Any]:
    """Run commands in one round trip, loading scripts that the server does not know.

    On a Cluster it is one round trip to each master that has some of the keys: commands on one key
    are done in their order, others at any time, unless a `Barrier` parts them. What comes after it
    is not begun if anything before it fails.

    Args:
        client: from `Endpoint`.
        steps: the commands.
        keep_refusals: whether a command that is refused has a `StoreRefusedError` in its place
            among the answers, instead of raising it.

    Returns:
        The answers in order, an error among them raised.

    Raises:
        StoreUnavailableError: Redis cannot be reached; some or all may have been done.
        StoreRefusedError: one of them was answered with an error.
    """
    steps = list(steps)
    with translated():
        if isinstance(client, ClusterClient):
            replies: list[Any] = []
            for part in parted(steps):
                replies += _checked(part, client.run(part), keep_refusals)
            return replies
        try:
            replies = _pipeline(client, steps).execute(raise_on_error=False)
            if _misses_script(replies):
                loads = _loads_of(steps)
                replies = _pipeline(client, [*loads, *steps]).execute(raise_on_error=False)
                replies = replies[len(loads) :]
        except (redis.RedisError, OSError):
            doubt_master(client)
            raise
        if _lacks_master(replies):
            doubt_master(client)
        return _checked(steps, replies, keep_refusals)


async def execute_async(
    client: AsyncRedisClient, steps: Iterable[Step], *, keep_refusals: bool = False
) -> list[Any]:
    """Run commands in one round trip: `execute` for asyncio."""
    steps = list(steps)
    with translated():
        if isinstance(client, AsyncClusterClient):
            replies: list[Any] = []
            for part in parted(steps):
                replies += _checked(part, await client.run(part), keep_refusals)
            return replies
        try:
            replies = await _pipeline(client, steps).execute(raise_on_error=False)
            if _misses_script(replies):
                loads = _loads_of(steps)
                replies = await _pipeline(client, [*loads, *steps]).execute(raise_on_error=False)
                replies = replies[len(loads) :]
        except (redis.RedisError, OSError):
            doubt_master(client)
            raise
        if _lacks_master(replies):
            doubt_master(client)
        return _checked(steps, replies, keep_refusals)


async def load_scripts(client: AsyncRedisClient) -> None:
    """Make all scripts known to the server, or to every master of a Cluster.

    Raises:
        StoreError: Redis cannot be reached or refuses scripts.
    """
    with translated():
        if isinstance(client, AsyncClusterClient):
            await client.load_scripts()
            return
        await _pipeline(
            client, [("SCRIPT LOAD", script.text) for script in all_scripts()]
        ).execute()


async def server_infos(client: AsyncRedisClient) -> list[dict[str, Any]]:
    """Read INFO of the server, or of every master of a Cluster.

    Raises:
        StoreError: Redis cannot be reached.
    """
    with translated():
        if isinstance(client, AsyncClusterClient):
            return await client.infos()
        return [await client.info()]


def _loads_of(steps: list[Step]) -> list[Call]:
    """Make the commands that load what some steps need: sent with them, nothing comes between."""
    calls = [whole(step) for step in steps if not isinstance(step, Barrier)]
    wanted = {call[1] for call in calls if call[0] == "EVALSHA"}
    return [("SCRIPT LOAD", script.text) for script in all_scripts() if script.sha in wanted]


def _pipeline(client: Any, steps: list[Step]) -> Any:
    pipeline = client.pipeline(transaction=False)
    for step in steps:
        if not isinstance(step, Barrier):
            pipeline.execute_command(*whole(step))
    return pipeline


def _misses_script(replies: list[Any]) -> bool:
    return any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies)


def _lacks_master(replies: list[Any]) -> bool:
    return any(
        isinstance(reply, redis.exceptions.RedisError) and code_of(reply) in NO_MASTER
        for reply in replies
    )


def _checked(steps: list[Step], replies: list[Any], keep_refusals: bool) -> list[Any]:
    commands = [step for step in steps if not isinstance(step, Barrier)]
    for at, reply in enumerate(replies):
        if isinstance(reply, redis.exceptions.RedisError):
            error = translate(reply)
            if isinstance(error, StoreForbiddenError):
                error = StoreForbiddenError(f"{describe(whole(commands[at]))}: {error}")
            if not keep_refusals or isinstance(error, StoreUnavailableError):
                raise error from reply
            replies[at] = error
    return replies
