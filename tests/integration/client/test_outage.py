"""Redis goes away and comes back: clients wait on within their time."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from corex import AsyncClient, Client, StoreUnavailableError, WaitTimeout
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.integration.client.hand import HandNode, meanwhile


@pytest.fixture
def own_hand(own_redis: EmbeddedRedis) -> HandNode:
    """A node played by hand on this test's own server."""
    return HandNode(redis.Redis.from_url(own_redis.url), Keys())


def _restart(server: EmbeddedRedis, pause: float = 0.5) -> None:
    server.stop(keep_data=True)
    time.sleep(pause)
    server.start()


def test_a_wait_outlives_a_restart(own_redis: EmbeddedRedis, own_hand: HandNode) -> None:
    """A client that waits when Redis restarts gets its result afterwards."""
    with Client(own_redis.url) as cx:
        job, other = cx.node("h1").bash("x"), cx.node("h1").bash("y")
        commands = [own_hand.take(), own_hand.take()]

        def outage() -> None:
            time.sleep(0.2)
            own_hand.redis.close()
            _restart(own_redis)
            for command in commands:
                own_hand.finish(command)

        with meanwhile(outage):
            assert job.wait(timeout=30).ok
            assert cx.job(other.id).wait(timeout=30).ok
    own_hand.redis.close()


def test_following_outlives_a_restart(own_redis: EmbeddedRedis, own_hand: HandNode) -> None:
    """Output goes on where it stopped, without a hole."""
    with Client(own_redis.url) as cx:

        def outage() -> None:
            own_hand.wait_subscribed("j1")
            own_hand.say("j1", 0)
            own_hand.redis.close()
            _restart(own_redis)
            own_hand.say("j1", 1)
            own_hand.say("j1", 2, flags=3)

        with meanwhile(outage):
            assert [message.seq for message in cx.job("j1").stream(timeout=30)] == [0, 1, 2]
    own_hand.redis.close()


async def test_async_waits_outlive_a_restart(own_redis: EmbeddedRedis, own_hand: HandNode) -> None:
    """All coroutines that wait when Redis restarts get their results afterwards."""
    async with AsyncClient(own_redis.url) as cx:
        jobs = await asyncio.gather(*(cx.node("h1").bash("x") for _ in range(20)))
        commands = own_hand.take_all()
        waits = [asyncio.create_task(job.wait(timeout=30)) for job in jobs]
        await asyncio.sleep(0.2)
        own_hand.redis.close()
        await asyncio.to_thread(_restart, own_redis)
        for command in commands:
            own_hand.finish(command)
        assert all(result.ok for result in await asyncio.gather(*waits))
    own_hand.redis.close()


def test_a_submit_outlives_a_short_outage(own_redis: EmbeddedRedis, own_hand: HandNode) -> None:
    """A push with an ID of ours is repeated until Redis is back; the command arrives once."""
    with Client(own_redis.url) as cx:
        cx.nodes()
        own_hand.redis.close()
        own_redis.stop(keep_data=True)

        def back() -> None:
            time.sleep(0.5)
            own_redis.start()

        with meanwhile(back):
            job = cx.node("h1").bash("x")
        assert [command.id for command in own_hand.take_all()] == [job.id]
    own_hand.redis.close()


def test_errors_of_redis_do_not_leak(own_redis: EmbeddedRedis) -> None:
    """With Redis away a wait says why it failed, and everything else raises our own error."""
    with Client(own_redis.url) as cx:
        job = cx.job("a1")
        own_redis.stop(keep_data=True)
        with pytest.raises(WaitTimeout, match=r"Redis: .*refused"):
            job.wait(timeout=0.5)
        with pytest.raises(WaitTimeout, match=r"Redis: .*refused"):
            list(job.stream(timeout=0.5))
        for operation in (cx.nodes, job.result, job.state, job.kill):
            with pytest.raises(StoreUnavailableError, match="refused"):
                operation()
        with pytest.raises(StoreUnavailableError, match="a2 may or may not have been pushed"):
            cx.node("h1").bash("x", id="a2")


async def test_async_errors_of_redis_do_not_leak(own_redis: EmbeddedRedis) -> None:
    """The same for the asyncio client."""
    async with AsyncClient(own_redis.url) as cx:
        job = cx.job("a1")
        own_redis.stop(keep_data=True)
        with pytest.raises(WaitTimeout, match=r"Redis: .*\b(refused|111)\b"):
            await job.wait(timeout=0.5)
        with pytest.raises(WaitTimeout):
            async for _ in job.stream(timeout=0.5):
                pass
        with pytest.raises(StoreUnavailableError):
            await cx.nodes()


def test_a_client_outlives_the_death_of_its_connections(
    own_redis: EmbeddedRedis, own_hand: HandNode
) -> None:
    """Connections that the server closed while they were idle are replaced unnoticed."""
    with Client(own_redis.url) as cx:
        for _ in range(2):
            job = cx.node("h1").bash("x", id=f"a{_}")
            own_hand.finish(own_hand.take())
            assert job.wait(timeout=10).ok
            own_hand.redis.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.05)
    own_hand.redis.close()
