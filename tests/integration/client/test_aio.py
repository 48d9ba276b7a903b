"""The asyncio client against a real Redis and a node played by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
import redis

from corex import AsyncClient, Command, JobFailed, JobState, WaitTimeout
from corex.effects import Do, Plan
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually_async
from tests.integration.client.hand import HandNode


def _blocked(client: redis.Redis, name: str) -> int:
    """How many connections of that name wait for something on the server."""
    return sum(one["name"] == name and "b" in one["flags"] for one in client.client_list())


async def test_a_command_and_its_result(acx: AsyncClient, hand: HandNode) -> None:
    """Submit, wait, look."""
    job = await acx.node("h1").system("ls", args=["-l"], tags=["t"])
    command = hand.take()
    assert command.arguments == {"name": "ls", "args": ["-l"]}
    written = hand.finish(command, streams=("out", ""))
    assert await job.wait(timeout=10) == written
    assert await job.result() == written
    assert (await job.state()).stage == "finished"
    assert await acx.job(job.id).wait(timeout=10) == written


async def test_thousands_wait_over_one_connection(
    redis_url: str, namespace: str, hand: HandNode, raw: redis.Redis
) -> None:
    """However many coroutines wait, one command blocks for all of them."""
    url = f"{redis_url}?client_name={namespace}"
    async with AsyncClient(url, namespace=namespace) as acx:
        jobs = await acx.node("h1").submit_many([Command("core.ping")] * 2000)
        waits = [asyncio.create_task(job.wait(timeout=30)) for job in jobs]
        await eventually_async(lambda: _blocked(raw, namespace))
        await asyncio.sleep(0.3)  # in which more would
        assert _blocked(raw, namespace) <= 1
        for command in hand.take_all():
            hand.finish(command)
        results = await asyncio.gather(*waits)
    assert [result.id for result in results] == [job.id for job in jobs]


async def test_many_wait_for_jobs_of_others(acx: AsyncClient, hand: HandNode) -> None:
    """Blocking connections are few; whoever gets none polls, and all get their results."""
    jobs = await acx.node("h1").submit_many([Command("core.ping")] * 50)
    waits = [asyncio.create_task(acx.job(job.id).wait(timeout=30)) for job in jobs]
    await asyncio.sleep(0.2)
    for command in hand.take_all():
        hand.finish(command)
    assert all(result.ok for result in await asyncio.gather(*waits))


async def test_many_submit_at_once(acx: AsyncClient, hand: HandNode) -> None:
    """More coroutines than connections take turns."""
    node = acx.node("h1")
    jobs = await asyncio.gather(*(node.submit("core.ping") for _ in range(500)))
    assert {command.id for command in hand.take_all()} == {job.id for job in jobs}


async def test_as_completed(acx: AsyncClient, hand: HandNode) -> None:
    """Jobs are given as they end."""
    jobs = await acx.submit_many([("h1", Command("core.ping"))] * 100)
    for command in reversed(hand.take_all()):
        hand.finish(command)
    order = [job async for job, _ in acx.as_completed(jobs, timeout=10)]
    assert order == jobs[::-1]
    with pytest.raises(WaitTimeout, match="1 of 1"):
        async for _ in acx.as_completed([await acx.node("h1").bash("x")], timeout=0.2):
            pass


async def test_a_cancelled_wait_takes_nothing_away(acx: AsyncClient, hand: HandNode) -> None:
    """Giving up a wait, from outside, leaves the result for the next one."""
    job = await acx.node("h1").bash("x")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(job.wait(timeout=30), 0.2)
    hand.finish(hand.take())
    assert (await job.wait(timeout=10)).ok


async def test_waits_are_bounded(acx: AsyncClient) -> None:
    """Nothing waits for longer than it was told to."""
    start = time.monotonic()
    job = await acx.node("h1").bash("x")
    with pytest.raises(WaitTimeout, match=job.id):
        await job.wait(timeout=0.3)
    with pytest.raises(WaitTimeout):
        await acx.job("nope").wait(timeout=0.3)
    assert 0.5 < time.monotonic() - start < 4


async def test_calls(acx: AsyncClient, hand: HandNode) -> None:
    """`call` and `ping` answer; a failure is raised."""

    def answer() -> None:
        hand.finish(hand.take(control=True), data='"PONG"', level=20)
        hand.finish(hand.take(), JobState.ERROR, code=500, data='"why"', level=20)

    node = asyncio.create_task(asyncio.to_thread(answer))
    assert await acx.node("h1").ping(timeout=10) == "PONG"
    with pytest.raises(JobFailed, match="why"):
        await acx.node("h1").call("x", timeout=10)
    await node


async def test_output_is_followed(acx: AsyncClient, hand: HandNode) -> None:
    """Messages come in order, live; leaving early closes the subscription."""
    job = await acx.node("h1").bash("x", stream=True)
    hand.take()

    def node() -> None:
        hand.wait_subscribed(job.id)
        for seq in range(5):
            hand.say(job.id, seq, flags=3 if seq == 4 else 1)

    speaking = asyncio.create_task(asyncio.to_thread(node))
    assert [message.seq async for message in job.stream(timeout=10)] == [0, 1, 2, 3, 4]
    await speaking
    async for message in job.stream(timeout=10):
        assert message.seq == 0
        break


async def test_a_cancelled_stream_is_unsubscribed(
    acx: AsyncClient, hand: HandNode, keys: Keys
) -> None:
    """A follower that is cancelled leaves no subscription."""
    job = await acx.node("h1").bash("x", stream=True)

    async def follow() -> None:
        async for _ in job.stream(timeout=30):
            pass

    task = asyncio.create_task(follow())
    await asyncio.to_thread(hand.wait_subscribed, job.id)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually_async(
        lambda: hand.redis.pubsub_numsub(keys.stream(job.id))[0][1] == 0, "no subscription left"
    )


async def test_nodes_and_kill(acx: AsyncClient, hand: HandNode) -> None:
    """The same operations as the blocking client's."""
    hand.announce()
    assert [node.id for node in await acx.nodes()] == ["h1"]
    assert (await acx.node("h1").presence()).alive
    job = await acx.node("h1").bash("x")
    assert (await job.state()).stage == "queued"
    assert await job.kill()
    assert (await job.wait(timeout=10)).state is JobState.KILLED


async def test_a_closed_client_says_so(redis_url: str) -> None:
    """Using a closed client is an error of the program; closing twice is none."""
    client = AsyncClient(redis_url)
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.nodes()


async def test_closing_while_somebody_waits(redis_url: str, namespace: str) -> None:
    """A wait under way ends with an error, not with a hang."""
    client = AsyncClient(redis_url, namespace=namespace)
    job = await client.node("h1").bash("x")
    wait = asyncio.create_task(job.wait(timeout=30))
    await asyncio.sleep(0.1)
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await asyncio.wait_for(wait, 10)


async def test_local_files_are_worked_with_in_a_thread(acx: AsyncClient) -> None:
    """What blocks does not hold the event loop up, and its errors are the plan's."""

    def plan() -> Plan[int]:
        try:
            yield Do(Path("/no/such/file").read_bytes)
        except FileNotFoundError:
            ident: int = yield Do(threading.get_ident)
            return ident
        raise AssertionError

    assert await acx.perform(plan()) != threading.get_ident()
