"""Those who follow a job's messages: what is kept of the past, then what comes."""

from __future__ import annotations

import asyncio
import random

import pytest

from corex_node.manager.handle import JobHandle
from corex_node.manager.limits import Limits
from corex_node.manager.messages import JobMessage, Subscription
from corex_shared.errors import NotFoundError
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench


async def _all(subscription: Subscription) -> list[JobMessage]:
    return [message async for message in subscription]


def _text(messages: list[JobMessage]) -> str:
    return "".join(message.text for message in messages)


async def test_backlog_then_live_without_gap_or_repetition(bench: Bench) -> None:
    """Whenever one subscribes, every line comes once and in order."""
    script = "for i in $(seq 60); do echo $i; [ $((i % 3)) = 0 ] && sleep 0.005; done"
    job = bench.script(script)
    followers = []
    for _ in range(8):
        followers.append(asyncio.create_task(_all(bench.manager.subscribe(job.id))))
        await asyncio.sleep(random.uniform(0, 0.02))
    await bench.result(job)
    whole = "".join(f"{number}\n" for number in range(1, 61))
    for messages in await asyncio.gather(*followers):
        assert _text(messages) == whole


@pytest.mark.parametrize(
    "bench", [Limits(backlog=64 * 1024, backlog_messages=3, linger=0.3)], indirect=True
)
async def test_the_backlog_is_bounded_and_says_what_is_missing(bench: Bench) -> None:
    """Late ones get the last messages, and learn how much came before."""
    job = bench.script("for i in 1 2 3 4 5; do echo 7::m$i; done; echo 7::ready; sleep 30")
    await eventually_async(lambda: job.messages and "ready" in job.messages.messages()[-1].text)
    subscription = bench.manager.subscribe(job.id)
    assert subscription.missed == len("m1m2m3")
    bench.manager.kill(job.id, 9)
    assert [message.text for message in await _all(subscription)] == ["m4", "m5", "ready"]


@pytest.mark.parametrize(
    "bench", [Limits(followed=100_000, followed_messages=50, linger=0.3)], indirect=True
)
async def test_a_slow_follower_loses_the_oldest_and_slows_nobody(bench: Bench) -> None:
    """It is told how much; the job ends as fast as without it."""
    job = bench.script("echo begin; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
    subscription = bench.manager.subscribe(job.id)  # and nobody reads
    result = await bench.result(job)
    assert result.stdout_bytes == 3_000_011
    messages = await _all(subscription)
    assert messages[-1].text.endswith("end\n")
    assert subscription.missed > 2_000_000
    assert subscription.missed + len(_text(messages)) == 3_000_011


async def test_one_who_follows_no_more(bench: Bench) -> None:
    """It hears the end of what waits, and nothing of the rest; others go on."""
    job = bench.script("echo one; sleep 30")
    leaves, stays = bench.manager.subscribe(job.id), bench.manager.subscribe(job.id)
    await eventually_async(lambda: job.messages)
    bench.manager.unsubscribe(job.id, leaves)
    bench.manager.unsubscribe(job.id, leaves)
    bench.manager.kill(job.id)
    await bench.result(job)
    assert _text(await _all(leaves)) == "one\n"
    assert _text(await _all(stays)) == "one\n"


async def test_an_ended_job_has_no_followers(bench: Bench) -> None:
    """There is nothing to follow."""
    job = bench.script("true")
    await bench.result(job)
    with pytest.raises(NotFoundError, match=job.id):
        bench.manager.subscribe(job.id)


async def test_by_its_handle(bench: Bench) -> None:
    """A job's handle follows it too."""
    handle: JobHandle = bench.manager.system("sh", ["-c", "echo out; echo err >&2"])
    subscription = handle.subscribe()
    await handle.wait(10)
    levels = {message.level: message.text for message in await _all(subscription)}
    assert levels == {1: "out\n", 2: "err\n"}
