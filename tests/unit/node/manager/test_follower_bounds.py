"""Followers of a job: many of them, bounds, and what each kind of job tells them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corex_node.manager.flags import JobFlags
from corex_node.manager.limits import Limits
from corex_node.manager.messages import JobMessage, MessageLog, Subscription
from corex_shared.errors import NotFoundError
from corex_shared.models import Command
from corex_shared.states import JobState, Level
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import ALL, Bench, QuickBench


async def _read(subscription: Subscription) -> list[JobMessage]:
    """All messages, to the end of the job."""
    return [message async for message in subscription]


def _text(messages: list[JobMessage]) -> str:
    return "".join(message.text for message in messages)


def _follow(bench: Bench, job_id: str) -> asyncio.Task[list[JobMessage]]:
    return asyncio.create_task(_read(bench.manager.subscribe(job_id)))


async def test_many_followers_of_a_real_job_read_the_same(bench: Bench, tmp_path: Path) -> None:
    """A hundred that come at any time while it writes: nobody has a gap."""
    enough = tmp_path / "enough"
    script = "echo $i; i=$((i+1)); [ $((i%60)) = 0 ] && sleep 0.003"
    job = bench.script(f"sleep 0.05; i=0; while [ ! -e {enough} ]; do {script}; done; true")
    subscriptions: list[Subscription] = []
    followers: list[asyncio.Task[list[JobMessage]]] = []
    while job.id in bench.manager.jobs:
        if len(followers) < 100:
            subscriptions.append(bench.manager.subscribe(job.id))
            followers.append(asyncio.create_task(_read(subscriptions[-1])))
        else:
            enough.touch()
        await asyncio.sleep(0.001)
    read = await asyncio.gather(*followers)
    count = len(_text(read[0]).splitlines())
    assert count > 100
    whole = "".join(f"{number}\n" for number in range(count))
    for subscription, messages in zip(subscriptions, read, strict=True):
        assert _text(messages) == whole[subscription.missed :]
    assert subscriptions[0].missed == 0


@pytest.mark.parametrize("count, kept", [(100, 100), (101, 100), (250, 100)])
async def test_the_backlog_has_a_hundred_messages_at_most(
    quick: QuickBench, count: int, kept: int
) -> None:
    """Who comes late gets the last hundred, and is told how much there was before."""
    job = quick.tool()
    await quick.process(job)
    for number in range(count):
        quick.manager.output.say(job, Level.PUBLIC, f"{number:03d}")
    subscription = quick.manager.subscribe(job.id)
    quick.manager.stop(job.id)
    messages = await _read(subscription)
    assert [message.text for message in messages] == [
        f"{number:03d}" for number in range(count - kept, count)
    ]
    assert subscription.missed == 3 * (count - kept)


async def test_the_backlog_has_64_kib_at_most(quick: QuickBench) -> None:
    """Long messages are fewer; what is not there any more is told."""
    job = quick.tool()
    await quick.process(job)
    for number in range(20):
        quick.manager.output.say(job, Level.PUBLIC, f"{number:02d}" + "x" * 9998)
    subscription = quick.manager.subscribe(job.id)
    quick.manager.stop(job.id)
    assert [message.text[:2] for message in await _read(subscription)] == [
        f"{number:02d}" for number in range(14, 20)
    ]
    assert subscription.missed == 14 * 10_000


async def test_the_last_message_is_kept_however_long(quick: QuickBench) -> None:
    """A backlog is never empty because of a message that is too long for it."""
    job = quick.tool()
    await quick.process(job)
    quick.manager.output.say(job, Level.PUBLIC, "x" * 200_000)
    subscription = quick.manager.subscribe(job.id)
    quick.manager.stop(job.id)
    assert len(_text(await _read(subscription))) == 200_000


async def test_a_follower_that_reads_nothing_slows_nobody_and_loses_the_oldest(
    bench: Bench,
) -> None:
    """A job that writes 5 MB ends as if nobody followed it; the follower has the last megabyte."""
    job = bench.script("sleep 0.05; seq 1 750000")
    slow, quick = bench.manager.subscribe(job.id), _follow(bench, job.id)
    result = await bench.result(job)
    assert result.state is JobState.SUCCESS
    whole = "".join(f"{number}\n" for number in range(1, 750_001))
    read = _text(await _read(slow))
    assert 500_000 < len(read) <= 1024 * 1024
    assert slow.missed + len(read) == len(whole)
    assert whole.endswith(read)
    assert _text(await quick) == whole


@pytest.mark.parametrize("quick", [Limits(followed_messages=10, followed=100)], indirect=True)
async def test_what_waits_for_a_follower_is_bounded_in_number_and_size(quick: QuickBench) -> None:
    """Beyond either bound the oldest goes."""
    job = quick.tool()
    await quick.process(job)
    short, long = quick.manager.subscribe(job.id), quick.manager.subscribe(job.id)
    for number in range(20):
        quick.manager.output.say(job, Level.PUBLIC, f"{number:02d}")
    quick.manager.unsubscribe(job.id, short)
    for _ in range(20):
        quick.manager.output.say(job, Level.PUBLIC, "x" * 30)
    quick.manager.stop(job.id)
    assert [message.text for message in await _read(short)] == [
        f"{number:02d}" for number in range(10, 20)
    ]
    assert short.missed == 20
    assert [message.text for message in await _read(long)] == ["x" * 30] * 3
    assert long.missed == 2 * 20 + 17 * 30


async def test_one_who_follows_no_more_hears_nothing_that_comes_later(quick: QuickBench) -> None:
    """However it left; others go on."""
    job = quick.tool()
    process = await quick.process(job)
    handle = quick.manager.job(job.id)
    leaves, closes, stays = (handle.subscribe() for _ in range(3))
    process.write(b"1\n")
    await eventually_async(lambda: job.messages is not None, "it was read")
    handle.unsubscribe(leaves)
    closes.close()
    assert leaves.closed
    process.write(b"2\n")
    process.exit()
    await quick.result(job)
    texts = [_text(await _read(subscription)) for subscription in (leaves, closes, stays)]
    assert texts == ["1\n", "1\n", "1\n2\n"]


async def test_following_ends_with_the_job(quick: QuickBench) -> None:
    """Iteration ends, for one that waits for a message too."""
    job = quick.tool()
    await quick.process(job)
    follower = _follow(quick, job.id)
    await asyncio.sleep(0)
    assert not follower.done()
    quick.manager.stop(job.id)
    assert await asyncio.wait_for(follower, 5) == []


async def test_a_job_that_has_ended_cannot_be_followed(quick: QuickBench) -> None:
    """Nor can one that never was, nor by the handle of one whose ID another bears."""
    old = quick.manager.start(Command("core.system", {"name": "tool"}, id="x"))
    quick.manager.stop("x")
    await old.wait(5)
    for subscribe in (old.subscribe, lambda: quick.manager.subscribe("x")):
        with pytest.raises(NotFoundError, match=r"^id: x"):
            subscribe()
    quick.manager.start(Command("core.system", {"name": "tool"}, id="x"))
    with pytest.raises(NotFoundError, match=r"^id: x"):
        old.subscribe()


async def test_a_job_that_waits_can_be_followed_from_its_beginning(quick: QuickBench) -> None:
    """Its first line is the first that is read."""
    holder, job = quick.tool(queue="q"), quick.tool(queue="q")
    follower = _follow(quick, job.id)
    quick.manager.stop(holder.id)
    process = await quick.process(job)
    process.write(b"1\n")
    process.exit()
    assert _text(await follower) == "1\n"


async def test_a_follower_hears_all_runs_of_a_job(quick: QuickBench) -> None:
    """What each run writes, and a report of each."""
    job = quick.tool(max_restart=2)
    follower = _follow(quick, job.id)
    first = await quick.process(job)
    first.write(b"one\n")
    first.exit(1)
    second = await quick.next_process(job, first)
    second.write(b"two\n")
    second.exit(0)
    messages = await follower
    assert [message.level for message in messages] == [1, 30, 1]
    assert [message.text for message in messages if message.level == 1] == ["one\n", "two\n"]


async def test_samples_are_heard_and_not_kept(quick: QuickBench) -> None:
    """Statistics are of the moment: who comes late does not get old ones."""
    job = quick.tool()
    await quick.process(job)
    early = _follow(quick, job.id)
    await asyncio.sleep(0)
    quick.manager.output.say(job, Level.STATSD, "a:1|A|")
    late = _follow(quick, job.id)
    await asyncio.sleep(0)
    quick.manager.stop(job.id)
    assert _text(await early) == "a:1|A|"
    assert await late == []


async def test_a_silent_job_tells_followers_nothing(quick: QuickBench) -> None:
    """The flag `no_output` means nobody."""
    command = Command("core.system", {"name": "tool"})
    handle = quick.manager.start(command, flags=JobFlags(no_output=True))
    process = await quick.process(handle)
    follower = _follow(quick, handle.id)
    process.write(b"out\n20::{}\n")
    process.exit()
    result = await handle.wait(5)
    assert await follower == []
    assert (result.streams, result.data, result.stdout_bytes) == (("", ""), "", 11)


async def test_messages_have_levels_and_the_time_at_which_they_came(quick: QuickBench) -> None:
    """Addressed ones are whole, others are parts of the output."""
    job = quick.tool()
    process = await quick.process(job)
    follower = _follow(quick, job.id)
    process.write(b"plain\n7::careful\n")
    await eventually_async(lambda: job.messages is not None, "it was read")
    process.write(b"err\n", stream=2)
    process.exit()
    messages = await follower
    assert [(message.level, message.text, message.whole) for message in messages] == [
        (1, "plain\n", False),
        (7, "careful", True),
        (2, "err\n", False),
    ]
    epochs = [message.epoch for message in messages]
    assert epochs == sorted(epochs)
    assert abs(epochs[0] // 1_000_000 - quick.now_ms()) < 10_000


# -- core.subscribe -----------------------------------------------------------------------------


async def test_the_command_waits_when_messages_go_out_slowly_and_the_job_does_not(
    quick: QuickBench,
) -> None:
    """While messages cannot go out, the follower waits, and tells afterwards what it lost."""
    followed = quick.tool()
    await quick.process(followed)
    follower = quick.push("core.subscribe", {"id": followed.id}, demand=ALL, stream=True)
    await eventually_async(lambda: followed.subscriptions, "it follows")
    quick.congested_now = True
    say = quick.manager.output.say
    say(followed, Level.STDOUT, "first\n")
    await eventually_async(lambda: quick.messages, "it relays")
    for number in range(10_100):
        say(followed, Level.STDOUT, f"{number:05d}\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert [text for _, _, text in quick.messages] == ["first\n"]
    quick.congested_now = False
    quick.manager.output.resume()
    await eventually_async(lambda: quick.messages[-1][2] == "10099\n", "it has caught up")
    told = [(level, text) for job_id, level, text in quick.messages if job_id == follower.id]
    assert told[1] == (7, "corex: 600 characters missed\n")
    assert told[2] == (1, "00100\n")
    assert len(told) == 2 + 10_000
    quick.manager.stop(followed.id)
    result = await quick.result(follower)
    assert (result.state, result.data) == (
        JobState.SUCCESS,
        f'{{"id":"{followed.id}","state":"KILLED","code":499,"missed":600}}',
    )


async def test_a_killed_follower_is_forgotten_by_the_job(quick: QuickBench) -> None:
    """The job goes on, and has no follower any more."""
    followed = quick.tool()
    follower = quick.push("core.subscribe", {"id": followed.id}, demand=ALL, stream=True)
    await eventually_async(lambda: followed.subscriptions, "it follows")
    quick.manager.kill(follower.id)
    assert (await quick.result(follower)).state is JobState.KILLED
    assert followed.subscriptions == []
    assert followed.id in quick.manager.jobs


# -- pure -----------------------------------------------------------------------------------------


_STEPS = st.lists(
    st.one_of(
        st.integers(0, 30).map(lambda size: ("say", size)),
        st.just(("follow", 0)),
        st.tuples(st.just("read"), st.integers(0, 9)),
    ),
    max_size=60,
)


class _Story:
    """A log, those who follow it, and what each has read."""

    def __init__(self, most: int, size: int, followed_most: int, followed: int) -> None:
        self._log = MessageLog(most, size)
        self._bounds = (followed_most, followed)
        self._said: list[JobMessage] = []
        self._followers: list[tuple[Subscription, list[JobMessage]]] = []

    async def step(self, kind: str, number: int) -> None:
        if kind == "say":
            message = JobMessage(1, "x" * number, len(self._said))
            self._said.append(message)
            self._log.append(message)
            for subscription, _ in self._followers:
                subscription.push(message)
        elif kind == "follow":
            self._followers.append((Subscription(self._log, *self._bounds), []))
        elif self._followers and number:
            await self._read(*self._followers[number % len(self._followers)], number)

    async def _read(self, subscription: Subscription, got: list[JobMessage], count: int) -> None:
        """Read some, or what there is."""

        async def read() -> None:
            async for message in subscription:
                got.append(message)
                if len(got) == target:
                    break

        target = len(got) + count
        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def check(self) -> None:
        total = sum(len(message.text) for message in self._said)
        for subscription, got in self._followers:
            subscription.close()
            got += [message async for message in subscription]
            assert subscription.missed + sum(len(message.text) for message in got) == total
            epochs = [message.epoch for message in got]
            assert epochs == sorted(set(epochs))
            assert epochs[-1:] == [len(self._said) - 1][: len(self._said)]


@given(_STEPS, st.integers(1, 8), st.integers(0, 60), st.integers(1, 8), st.integers(1, 60))
@settings(deadline=None)
def test_whatever_happens_all_is_read_or_counted(
    steps: list[tuple[str, int]], most: int, size: int, followed_most: int, followed: int
) -> None:
    """Read and missed are together what was said; what is read ends with the last, in order."""

    async def run() -> None:
        story = _Story(most, size, followed_most, followed)
        for kind, number in steps:
            await story.step(kind, number)
        await story.check()

    asyncio.run(run())
