"""Another server becomes the master: agents and clients go on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from corex import Client, StoreUnavailableError
from corex_node.process.embedded import HOST
from corex_shared.connection import (
    AsyncRedisClient,
    Endpoint,
    RedisClient,
    execute,
    execute_async,
)
from corex_shared.scripts import Call
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.freezing import frozen
from tests.helpers.nodes import RunNode
from tests.helpers.sentinel import SERVICE, SentinelTrio
from tests.integration.topologies.load import Load

WRITE: list[Call] = [("SET", "k", 1)]


@pytest.fixture
def sound(trio: SentinelTrio) -> SentinelTrio:
    """Servers and Sentinels, all well before a test."""
    for server in trio.servers:
        server.start()
    eventually(trio.is_sound, "a master with two replicas", seconds=25)
    return trio


@pytest.fixture
def cx(sound: SentinelTrio, namespace: str) -> Iterator[Client]:
    """A blocking client."""
    with Client(sound.url, namespace=namespace) as client:
        yield client


@pytest.fixture
def endpoint(sound: SentinelTrio) -> Endpoint:
    """The master, by its Sentinels."""
    return Endpoint(sound.url)


def test_a_planned_failover_during_load(
    sound: SentinelTrio, run_node: RunNode, cx: Client, diary: Diary
) -> None:
    """Nobody is restarted, and each command has exactly one result."""
    node = run_node("n1", url=sound.url)
    load = Load(cx, "n1", diary)
    load.push(200)
    eventually(lambda: load.ran(40))
    old = sound.master()
    with frozen(node, sound.ask, old):
        sound.failover()
        # From now on it takes no writes, but says so to whoever is still connected to it.
        eventually(lambda: sound.ask(old, "ROLE")[2] == [], "nobody follows the old master")
    load.push(100)
    load.assert_each_ran_once()
    assert node.running


def test_the_master_is_killed_during_load(
    sound: SentinelTrio, run_node: RunNode, cx: Client, diary: Diary
) -> None:
    """The same holds; a stream that was being followed has no gap."""
    node = run_node("n1", url=sound.url)
    script = "for i in $(seq 30); do echo $i; sleep 0.1; done"
    stream = cx.node("n1").bash(script, stream=True).stream(timeout=30)
    seen = [next(stream).seq]
    load = Load(cx, "n1", diary)
    load.push(200)
    eventually(lambda: load.ran(40))
    master = sound.master()
    with frozen(node, sound.ask, master):
        master.kill()
    sound.wait_other(master)
    load.push(100)
    load.assert_each_ran_once()
    seen += [message.seq for message in stream]
    assert seen == list(range(len(seen)))
    assert node.running


def test_connections_to_a_master_that_is_none_any_more_are_not_kept(
    sound: SentinelTrio, endpoint: Endpoint
) -> None:
    """After one READONLY the client looks for the new master, though nobody closed anything."""
    old = sound.master()
    with closing(endpoint.command()) as client:
        execute(client, WRITE)
        sound.failover()
        sound.ask(old, "REPLICAOF", HOST, sound.master().port)
        with pytest.raises(StoreUnavailableError, match="read only"):
            execute(client, WRITE)
        # A Sentinel may still name the old one, and the new one may have no replica yet.
        eventually(lambda: not _fails(client), "a write")


def _fails(client: RedisClient) -> bool:
    try:
        execute(client, WRITE)
    except StoreUnavailableError:
        return True
    return False


async def test_asyncio_connections_are_not_kept_either(
    sound: SentinelTrio, endpoint: Endpoint
) -> None:
    """The same for asyncio: of many connections one finds out, for all."""
    old = sound.master()
    client = endpoint.async_command()
    await asyncio.gather(*(execute_async(client, WRITE) for _ in range(8)))
    await asyncio.to_thread(sound.failover)
    sound.ask(old, "REPLICAOF", HOST, sound.master().port)
    with pytest.raises(StoreUnavailableError, match="read only"):
        await execute_async(client, WRITE)
    async with asyncio.timeout(10):
        while await _fails_async(client):
            continue
    await asyncio.gather(*(execute_async(client, WRITE) for _ in range(8)))
    await client.aclose()


async def _fails_async(client: AsyncRedisClient) -> bool:
    try:
        await execute_async(client, WRITE)
    except StoreUnavailableError:
        return True
    return False


async def test_a_command_that_blocks_ends_with_its_master(
    sound: SentinelTrio, endpoint: Endpoint
) -> None:
    """It is not waited for in vain."""
    client = endpoint.async_blocking(30)
    wait: Call = ("BLMOVE", "empty", "empty", "LEFT", "LEFT", 30)
    blocked = asyncio.create_task(execute_async(client, [wait]))
    await asyncio.sleep(0.2)  # it is blocked by now, or will fail as well
    await asyncio.to_thread(sound.failover)
    with pytest.raises(StoreUnavailableError):
        await asyncio.wait_for(blocked, 8)
    await client.aclose()


def test_a_replica_that_sentinels_take_for_a_master_is_not_used(
    sound: SentinelTrio, endpoint: Endpoint
) -> None:
    """Whoever connects asks the server itself."""
    replica = next(server for server in sound.servers if server is not sound.master())
    for sentinel in sound.sentinels:
        sentinel.ask("SENTINEL", "MONITOR", "wrong", HOST, replica.port, 2)
    try:
        _refuses(sound.url.replace(SERVICE, "wrong"), "master is none")
    finally:
        for sentinel in sound.sentinels:
            sentinel.ask("SENTINEL", "REMOVE", "wrong")


def test_a_sentinel_that_is_gone_is_passed_over(sound: SentinelTrio) -> None:
    """As long as another one answers; what is wrong with a service is said."""
    url = sound.url.replace("//", f"//{HOST}:1,")
    with closing(Endpoint(url).command()) as client:
        assert execute(client, WRITE) == [True]
    _refuses(f"redis+sentinel://{HOST}:1/{SERVICE}", "no Sentinel names .*refused")
    _refuses(sound.url.replace(SERVICE, "other"), "no Sentinel names a master of 'other'")


def _refuses(url: str, words: str) -> None:
    with (
        closing(Endpoint(url).command()) as client,
        pytest.raises(StoreUnavailableError, match=words),
    ):
        execute(client, WRITE)
