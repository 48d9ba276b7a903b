"""Waiting for ten thousand jobs: three connections, and no look more often than once a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from corex import AsyncClient, Client, Command, JobResult
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.codec import Encoding, encode
from corex_shared.keys import Keys
from corex_shared.states import JobState
from tests.helpers.eventually import eventually
from tests.integration.client.hand import HandNode

MANY = 10_000
IDLE = 3.0
"""Seconds for which nothing happens, and commands are counted."""

pytestmark = pytest.mark.timeout(90)


class Watched:
    """A server of a test's own, with one client besides this watcher.

    Attributes:
        url: of the server.
        hand: its node.
    """

    def __init__(self, server: EmbeddedRedis) -> None:
        self.url = server.url
        self._redis = redis.Redis.from_url(server.url, socket_timeout=60)
        self._keys = Keys()
        self.hand = HandNode(self._redis, self._keys)

    def connections(self) -> int:
        """Connections that are not ours."""
        clients = self._redis.client_list()
        return len(clients) - 1

    def blocked(self) -> int:
        """Connections that wait for something on the server."""
        return int(self._redis.info("clients")["blocked_clients"])

    def counts(self) -> dict[str, int]:
        """How often each command was called."""
        stats = self._redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(of["calls"]) for name, of in stats.items()}

    def idle(self) -> dict[str, float]:
        """Let nothing happen for a while; return how often a second each command was called."""
        before, begun = self.counts(), time.monotonic()
        time.sleep(IDLE)
        after, seconds = self.counts(), time.monotonic() - begun
        return {
            name: (count - before.get(name, 0)) / seconds
            for name, count in after.items()
            if name not in ("info", "client|list") and count > before.get(name, 0)
        }

    def finish(self, jobs: list[str], *, reply_to: str | None = None, size: int = 0) -> None:
        """End jobs as a node does, all at once.

        Args:
            jobs: their IDs.
            reply_to: client that hears of it.
            size: of the output; more than 8 KiB are not told to the client, only that there is one.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for job in jobs:
            result = JobResult(
                job, "core.ping", "h1", JobState.SUCCESS, 0, streams=("x" * size, "")
            )
            payload = encode(result, Encoding.MSGPACK)
            pipeline.rpush(self._keys.result(job), payload)
            if reply_to:
                hint = payload if size < 8192 else b'{"id":"' + job.encode() + b'"}'
                pipeline.rpush(self._keys.inbox(reply_to), hint)
        pipeline.execute()

    def check_idle(self) -> None:
        """See that whoever waits costs next to nothing."""
        assert self.connections() <= 3
        rates = self.idle()
        for _ in range(3):  # on a busy machine what came before may not be over yet
            if sum(rates.values()) >= 30:
                rates = self.idle()
        assert self.connections() <= 3
        # One wait for the inbox, one for a key, one look at all keys (of 20 commands, each of
        # 500 keys), a second.
        assert sum(rates.values()) < 30, rates
        looks = {name: rate for name, rate in rates.items() if name != "exists"}
        assert all(rate <= 1.4 for rate in looks.values()), rates


@pytest.fixture
def watched(own_redis: EmbeddedRedis) -> Iterator[Watched]:
    """A server that nobody else uses."""
    watched = Watched(own_redis)
    yield watched
    watched.hand.redis.close()


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


@pytest.mark.parametrize("size", [0, 9000], ids=["small", "large"])
async def test_coroutines_that_wait_for_jobs_of_their_own(watched: Watched, size: int) -> None:
    """Ten thousand `await job.wait()`; their results, told or to be fetched, come soon."""
    async with AsyncClient(watched.url) as cx:
        jobs = await cx.submit_many([("h1", Command("core.ping"))] * MANY)
        waits = [asyncio.create_task(job.wait(timeout=60)) for job in jobs]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(watched.check_idle)
        ids = [job.id for job in jobs]
        await asyncio.to_thread(watched.finish, ids, reply_to=cx.id, size=size)
        with _within(15):
            results = await asyncio.gather(*waits)
        assert [result.id for result in results] == ids
        assert watched.connections() <= 3


async def test_coroutines_that_wait_for_jobs_of_others(watched: Watched) -> None:
    """Ten thousand `await cx.job(id).wait()`: no inbox tells of these, they come all the same."""
    ids = [f"j{number}" for number in range(MANY)]
    async with AsyncClient(watched.url) as cx:
        waits = [asyncio.create_task(cx.job(job).wait(timeout=60)) for job in ids]
        await asyncio.to_thread(eventually, lambda: watched.blocked() == 2, seconds=20)
        await asyncio.to_thread(watched.check_idle)
        watched.finish(["j7777"])
        with _within(3):
            assert (await waits[7777]).id == "j7777"
        await asyncio.to_thread(watched.finish, [job for job in ids if job != "j7777"])
        with _within(15):
            results = await asyncio.gather(*waits)
        assert [result.id for result in results] == ids
        assert watched.connections() <= 3


async def test_coroutines_that_submit_and_wait_at_once(watched: Watched) -> None:
    """Who submits each job by itself and waits for it uses no more connections for that."""
    async with AsyncClient(watched.url) as cx:
        node = cx.node("h1")

        async def one() -> str:
            job = await node.submit("core.ping")
            return (await job.wait(timeout=60)).id

        waits = [asyncio.create_task(one()) for _ in range(MANY // 5)]
        while watched.hand.redis.llen(Keys().commands("h1")) < MANY // 5:
            assert watched.connections() <= 3
            await asyncio.sleep(0.05)
        await asyncio.to_thread(watched.check_idle)
        ids = [command.job_id for command in watched.hand.take_all()]
        watched.finish(ids, reply_to=cx.id)
        with _within(10):
            assert sorted(await asyncio.gather(*waits)) == sorted(ids)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "others"])
def test_as_completed(watched: Watched, ours: bool) -> None:
    """The same for a loop over jobs as they end."""
    with Client(watched.url) as cx:
        if ours:
            jobs = cx.submit_many([("h1", Command("core.ping"))] * MANY)
        else:
            jobs = [cx.job(f"j{number}") for number in range(MANY)]
        seen: list[str] = []

        def loop() -> None:
            seen.extend(job.id for job, _ in cx.as_completed(jobs, timeout=60))

        thread = threading.Thread(target=loop)
        thread.start()
        eventually(lambda: watched.blocked() >= 1)
        watched.check_idle()
        watched.finish([job.id for job in jobs], reply_to=cx.id if ours else None)
        with _within(15):
            thread.join()
        assert sorted(seen) == sorted(job.id for job in jobs)


def test_threads(watched: Watched) -> None:
    """The same for threads, half of which wait for jobs of others."""
    count = 150
    with Client(watched.url) as cx, ThreadPoolExecutor(2 * count) as pool:
        ours = cx.submit_many([("h1", Command("core.ping"))] * count)
        others = [cx.job(f"j{number}") for number in range(count)]
        waits = [
            pool.submit(job.wait, 60) for pair in zip(ours, others, strict=True) for job in pair
        ]
        eventually(lambda: watched.blocked() == 2)
        time.sleep(0.5)
        watched.check_idle()
        watched.finish([job.id for job in others])
        watched.finish([job.id for job in ours], reply_to=cx.id)
        with _within(10):
            assert all(wait.result().ok for wait in waits)


async def test_hints_that_got_lost(watched: Watched) -> None:
    """Results of which the inbox never told come within the time of one look at all."""
    async with AsyncClient(watched.url) as cx:
        jobs = await cx.submit_many([("h1", Command("core.ping"))] * MANY)
        waits = [asyncio.create_task(job.wait(timeout=60)) for job in jobs]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(watched.finish, [job.id for job in jobs])
        with _within(15):
            assert len(await asyncio.gather(*waits)) == MANY
