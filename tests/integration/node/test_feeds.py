"""The node's log to its subscribers, with a real Redis and no agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from corex_node.feed import FeedLimits
from corex_node.feed_store import FeedBatch, FeedStore, Lengths
from corex_node.feeds import Feeds
from corex_node.manager.jobs import Job
from corex_shared.connection import Endpoint
from corex_shared.endings import end
from corex_shared.errors import (
    ServiceUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually_async

JOB = cast("Job", SimpleNamespace(id="j1"))
NODE_LEVELS = frozenset({2, 9})


class Store(FeedStore):
    """The real one, which can be interfered with.

    Attributes:
        away: whether it says that Redis is.
        after_push: called once, when records were written and before that is answered.
        pushed: queues that had records in a round trip, and the bytes of these.
    """

    def __init__(self, url: str, keys: Keys) -> None:
        super().__init__(Endpoint(url), keys, "n1")
        self.away = False
        self.after_push: Callable[[], object] | None = None
        self.pushed: list[tuple[list[str], int]] = []

    async def push(self, batches: Sequence[FeedBatch]) -> list[Lengths | StoreRefusedError]:
        if self.away:
            raise StoreUnavailableError("away")
        answers = await super().push(batches)
        queues = [batch.queue for batch in batches if batch.records]
        size = sum(len(record) for batch in batches for record in batch.records)
        if queues:
            self.pushed.append((queues, size))
            step, self.after_push = self.after_push, None
            if step is not None:
                step()
        return answers


def _lose_answer() -> None:
    raise StoreUnavailableError("the answer was lost")


class Bench:
    """The component, and what its subscribers see."""

    def __init__(self, url: str, keys: Keys, client: redis.Redis, limits: FeedLimits) -> None:
        self.store = Store(url, keys)
        self.feeds = Feeds(self.store, "n1", NODE_LEVELS, limits)
        self.redis: Any = client
        self.keys = keys
        self._running = asyncio.create_task(self.feeds.run())

    async def close(self) -> None:
        await end([self._running], 5)
        await self.store.close()

    def say(self, *texts: str, level: int = 2) -> None:
        for text in texts:
            self.feeds.message(JOB, level, text, 7)

    def listed(self, key: str) -> list[tuple[int, str]]:
        """What a list holds: seq and text."""
        records = [json.loads(record) for record in self.redis.lrange(key, 0, -1)]
        return [(record["seq"], record["message"]) for record in records]

    def texts(self, key: str) -> list[str]:
        return [text for _, text in self.listed(key)]

    async def written(self) -> None:
        """Return when nothing waits any more."""
        await self._bounded(self.feeds.flushed())

    async def unsubscribe(self, queue: str) -> None:
        await self._bounded(self.feeds.unsubscribe(queue))

    async def _bounded(self, step: Coroutine[Any, Any, None]) -> None:
        """Await something that the component does, as long as that runs."""
        task = asyncio.create_task(step)
        await asyncio.wait({task, self._running}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            self._running.result()
        assert task.done(), "not within 10 s"
        task.result()


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, redis_url: str, keys: Keys, raw: redis.Redis
) -> AsyncIterator[Bench]:
    """`parametrize("bench", [FeedLimits(…)], indirect=True)` gives other limits."""
    made = Bench(redis_url, keys, raw, getattr(request, "param", FeedLimits()))
    yield made
    await made.close()


async def test_recent_records_come_first_then_all_that_follow(bench: Bench) -> None:
    """Without a gap and without repetition, whenever one subscribes."""
    bench.say("a", "b")
    early = bench.feeds.subscribe("early", [])
    bench.say("c")
    late = bench.feeds.subscribe("late", [])
    bench.say("d")
    await bench.written()
    bench.say("e")
    await bench.written()
    assert early == bench.keys.logger("n1", "early")
    assert bench.listed(early) == bench.listed(late) == list(enumerate("abcde"))


async def test_each_gets_the_levels_that_it_asked_for(bench: Bench) -> None:
    """Those of the node if none; only these are kept for later."""
    bench.say("recent", level=2)
    bench.say("not kept", level=1)
    bench.say("critical", level=9)
    own, nodes = bench.feeds.subscribe("own", [1, 9]), bench.feeds.subscribe("nodes", [])
    assert bench.feeds.levels == {1, 2, 9}
    for level in (1, 2, 3):
        bench.say(f"live {level}", level=level)
    await bench.written()
    assert bench.texts(own) == ["critical", "live 1"]
    assert bench.texts(nodes) == ["recent", "critical", "live 2"]
    await bench.unsubscribe("own")
    assert bench.feeds.levels == NODE_LEVELS


async def test_subscribing_again_changes_the_levels_only(bench: Bench) -> None:
    """Nothing recent comes again, and the numbers go on."""
    bench.say("recent")
    key = bench.feeds.subscribe("q", [])
    assert bench.feeds.subscribe("q", [1]) == key
    bench.say("stderr", level=2)
    bench.say("stdout", level=1)
    await bench.written()
    assert bench.listed(key) == [(0, "recent"), (1, "stdout")]


async def test_a_name_is_made_for_whoever_has_none(bench: Bench) -> None:
    """It is another one each time."""
    first, second = bench.feeds.subscribe("", []), bench.feeds.subscribe("", [])
    assert first != second
    bench.say("a")
    await bench.written()
    assert bench.texts(first) == bench.texts(second) == ["a"]


async def test_unsubscribing_leaves_nothing(bench: Bench) -> None:
    """The list is gone when it returns, and what comes later does not bring it back."""
    key = bench.feeds.subscribe("q", [])
    bench.say("a")
    await bench.written()
    bench.say("b")
    await bench.unsubscribe("q")
    bench.say("c")
    await bench.written()
    assert not bench.redis.exists(key, bench.keys.logged("n1", "q"))


async def test_unsubscribing_from_an_unknown_list_removes_it(bench: Bench) -> None:
    """It may be an earlier agent's."""
    key = bench.keys.logger("n1", "old")
    bench.redis.rpush(key, "x")
    await bench.unsubscribe("old")
    assert not bench.redis.exists(key)
    await bench.unsubscribe("never seen")


async def test_a_name_may_be_used_again_at_once(bench: Bench) -> None:
    """What the former subscription had is not among what the new one has."""
    bench.feeds.subscribe("q", [1])
    bench.say("former", level=1)
    await bench.written()
    ended = asyncio.create_task(bench.feeds.unsubscribe("q"))
    await asyncio.sleep(0)
    key = bench.feeds.subscribe("q", [1])
    bench.say("new", level=1)
    await ended
    await bench.written()
    assert bench.listed(key) == [(0, "new")]


async def test_a_list_has_a_life_that_reading_renews_and_writing_does_not(bench: Bench) -> None:
    """Whoever has gone leaves nothing for ever, however much is written."""
    key = bench.feeds.subscribe("q", [])
    await bench.written()
    bench.say("a", "b")
    await bench.written()
    assert 600_000 < bench.redis.pttl(key) <= 720_000
    bench.redis.pexpire(key, 50_000)
    bench.say("c")
    await bench.written()
    assert bench.redis.pttl(key) <= 50_000
    assert bench.redis.lpop(key)
    bench.say("d")
    await bench.written()
    assert bench.redis.pttl(key) > 600_000


async def test_subscribing_again_renews_the_life_of_a_list(bench: Bench) -> None:
    """Even if nothing is written."""
    key = bench.feeds.subscribe("q", [])
    bench.say("a")
    await bench.written()
    bench.redis.pexpire(key, 50_000)
    bench.feeds.subscribe("q", [])
    await bench.written()
    assert bench.redis.pttl(key) > 600_000


async def test_subscribing_again_right_after_something_was_written(bench: Bench) -> None:
    """It is not overlooked while records wait for others to join them."""
    key = bench.feeds.subscribe("q", [])
    loop = asyncio.get_running_loop()

    def subscribe() -> None:
        bench.redis.pexpire(key, 50_000)
        bench.feeds.subscribe("q", [])

    bench.store.after_push = lambda: loop.call_later(0.003, subscribe)
    bench.say("a")
    await bench.written()
    await eventually_async(lambda: bench.redis.pttl(key) > 600_000)


async def test_what_an_earlier_agent_left_is_there_first(bench: Bench) -> None:
    """It is not lost to whoever subscribes again under the same name, and lives on."""
    key = bench.keys.logger("n1", "q")
    bench.redis.rpush(key, '{"seq": 70, "message": "left"}')
    bench.redis.pexpire(key, 50_000)
    bench.redis.set(bench.keys.logged("n1", "q"), "another 70")
    bench.feeds.subscribe("q", [])
    bench.say("new")
    await bench.written()
    assert bench.listed(key) == [(70, "left"), (0, "new")]
    assert bench.redis.pttl(key) > 600_000


@pytest.mark.parametrize("bench", [FeedLimits(listed=10)], indirect=True)
async def test_a_full_list_keeps_the_newest(bench: Bench) -> None:
    """The numbers tell how many are missing."""
    key = bench.feeds.subscribe("q", [])
    for number in range(3):
        bench.say(*(f"{number}-{n}" for n in range(9)))
        await bench.written()
    listed = bench.listed(key)
    assert [seq for seq, _ in listed] == list(range(17, 27))
    assert listed[-1] == (26, "2-8")


@pytest.mark.parametrize("bench", [FeedLimits(listed_size=10_000)], indirect=True)
async def test_a_list_is_bounded_in_bytes(bench: Bench) -> None:
    """However large single records are."""
    key = bench.feeds.subscribe("q", [])
    for n in range(20):
        bench.say(str(n) * 900)
        await bench.written()
    records = bench.redis.lrange(key, 0, -1)
    assert sum(len(record) for record in records) <= 10_000
    assert len(records) >= 5
    assert json.loads(records[-1])["seq"] == 19


async def test_a_lost_answer_repeats_no_record(bench: Bench) -> None:
    """Not even if its reader has taken all that was written before it is written again."""
    key = bench.feeds.subscribe("q", [])
    taken: list[bytes] = []

    def read_all() -> None:
        taken.extend(bench.redis.lpop(key, 100))
        _lose_answer()

    bench.store.after_push = read_all
    bench.say("a", "b")
    await bench.written()
    bench.say("c")
    await bench.written()
    assert [json.loads(record)["message"] for record in taken] == ["a", "b"]
    assert bench.listed(key) == [(2, "c")]


async def test_a_lost_answer_repeats_no_record_that_is_still_there(bench: Bench) -> None:
    """What is in the list stays as it is."""
    key = bench.feeds.subscribe("q", [])

    bench.store.after_push = _lose_answer
    bench.say("a", "b")
    await bench.written()
    assert bench.listed(key) == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("bench", [FeedLimits(waiting=5)], indirect=True)
async def test_what_waits_for_redis_is_bounded(bench: Bench) -> None:
    """The oldest go; the numbers tell how many."""
    key = bench.feeds.subscribe("q", [])
    await bench.written()
    bench.store.away = True
    bench.say(*map(str, range(100)))
    bench.store.away = False
    await bench.written()
    assert bench.listed(key) == [(n, str(n)) for n in range(95, 100)]


QUICK = FeedLimits(patience=0.3, look=0.05)


@pytest.mark.parametrize("bench", [QUICK], indirect=True)
async def test_a_subscription_that_nobody_reads_ends(bench: Bench) -> None:
    """Its list goes, also while more is written to it."""
    quiet, busy = bench.feeds.subscribe("quiet", [1]), bench.feeds.subscribe("busy", [3])
    bench.say("once", level=1)

    def both_gone() -> bool:
        bench.say("again", level=3)
        return not bench.redis.exists(quiet, busy) and bench.feeds.levels == NODE_LEVELS

    await bench.written()
    assert bench.redis.exists(quiet, busy) == 1
    await eventually_async(both_gone)
    assert bench.feeds.levels == NODE_LEVELS


@pytest.mark.parametrize("bench", [QUICK], indirect=True)
async def test_a_subscription_that_is_read_goes_on(bench: Bench) -> None:
    """For much longer than one that is not, and so does one that has nothing to read."""
    key = bench.feeds.subscribe("read", [1])
    silent = bench.feeds.subscribe("silent", [3])
    abandoned = bench.feeds.subscribe("abandoned", [4])
    bench.say("x", level=4)
    taken: list[int] = []

    def abandoned_gone() -> bool:
        bench.say("a", "b", level=1)
        if record := bench.redis.lpop(key):
            taken.append(json.loads(record)["seq"])
        return 4 not in bench.feeds.levels

    for _ in range(2):
        await eventually_async(abandoned_gone)
        abandoned = bench.feeds.subscribe("abandoned", [4])
        bench.say("x", level=4)
    del abandoned
    await bench.unsubscribe("abandoned")
    assert bench.feeds.levels == {1, 2, 3, 9}
    assert taken == list(range(len(taken)))
    bench.say("at last", level=3)
    await bench.written()
    assert bench.texts(silent) == ["at last"]


@pytest.mark.parametrize("bench", [FeedLimits(feeds=3)], indirect=True)
async def test_there_are_only_so_many_subscriptions(bench: Bench) -> None:
    """One more is refused; another name for one that is there is not, nor one that takes over."""
    for name in "abc":
        bench.feeds.subscribe(name, [])
    with pytest.raises(ServiceUnavailableError, match="queue: 3 are"):
        bench.feeds.subscribe("d", [])
    bench.feeds.subscribe("a", [1])
    await bench.unsubscribe("b")
    bench.feeds.subscribe("d", [])


@pytest.mark.parametrize("bench", [FeedLimits(feeds=3, patience=0.1, look=0.02)], indirect=True)
async def test_whoever_was_silent_for_long_makes_room(bench: Bench) -> None:
    """A list on which nothing came may have no reader any more; the latest sign of life counts."""
    for name in "abc":
        bench.feeds.subscribe(name, [ord(name)])
    await bench.written()
    await asyncio.sleep(0.15)
    bench.feeds.subscribe("a", [ord("a")])
    bench.feeds.subscribe("d", [ord("d")])
    assert bench.feeds.levels == NODE_LEVELS | {ord(name) for name in "acd"}


async def test_a_key_of_somebody_else_ends_that_subscription_alone(bench: Bench) -> None:
    """It stays as it is, and the others go on."""
    key, other = bench.feeds.subscribe("q", [1]), bench.feeds.subscribe("other", [])
    bench.redis.set(key, "not a list")
    bench.say("a", level=1)
    bench.say("b")
    await bench.written()
    assert bench.feeds.levels == NODE_LEVELS
    assert bench.redis.get(key) == b"not a list"
    assert bench.texts(other) == ["b"]


async def test_large_records_of_many_subscriptions_are_written_in_turn(bench: Bench) -> None:
    """No round trip is larger than it has to be, and nobody is left out."""
    names = [bench.feeds.subscribe(f"q{n}", []) for n in range(8)]
    texts = [str(n) * 200_000 for n in range(4)]
    bench.say(*texts)
    await bench.written()
    assert max(size for _, size in bench.store.pushed) < 500_000
    for key in names:
        assert bench.texts(key) == texts


async def test_nobody_waits_for_a_subscription_that_has_more_than_fits(bench: Bench) -> None:
    """Whoever was not served for longest comes first."""
    bench.feeds.subscribe("greedy", [1])
    modest = bench.feeds.subscribe("modest", [3])
    await bench.written()
    bench.say(*["x" * 300_000] * 3, level=1)
    bench.say("y", level=3)
    await bench.written()
    assert [queues for queues, _ in bench.store.pushed] == [
        ["greedy"],
        ["modest", "greedy"],
        ["greedy"],
    ]
    assert bench.texts(modest) == ["y"]
