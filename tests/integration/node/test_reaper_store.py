"""Each step of a reaper, on its own: what it does, and what it leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from corex_node.reaper_store import Begun, Present, ReaperStore, Taken
from corex_node.ticket import Source
from corex_shared.connection import Endpoint
from corex_shared.finishing import PRESENT, TAKEN, WRITTEN, Finish
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.gone import now_ms
from tests.helpers.wire import Wire

SEEN = b"1700000000000"


@pytest.fixture
def wire(raw: redis.Redis, keys: Keys) -> Wire:
    """The keys of a node n1 that nobody serves."""
    raw.zadd(keys.nodes(), {"n1": float(SEEN)})
    return Wire(raw, keys, "n1")


@pytest_asyncio.fixture
async def store(redis_url: str, keys: Keys) -> AsyncIterator[ReaperStore]:
    """What is tested."""
    store = ReaperStore(Endpoint(redis_url), keys, "me")
    yield store
    await store.close()


@pytest_asyncio.fixture
async def other(redis_url: str, keys: Keys) -> AsyncIterator[ReaperStore]:
    """Another reaper's."""
    store = ReaperStore(Endpoint(redis_url), keys, "other")
    yield store
    await store.close()


def _comes_back(wire: Wire) -> None:
    wire.redis.hset(wire.keys.presence("n1"), "incarnation", "new")
    wire.redis.pexpire(wire.keys.presence("n1"), 9000)


async def test_silent_nodes(store: ReaperStore, wire: Wire) -> None:
    """Those seen before the span's end and not before its beginning."""
    now = now_ms()
    wire.redis.zadd(wire.keys.nodes(), {"here": now, "away": now - 20_000, "{": 5})
    first = await store.silent(b"-inf", 15_000)
    assert set(first.nodes) == {"n1", "away"}
    assert first.nodes["n1"] == SEEN
    assert abs(first.now - now) < 10_000
    assert float(first.till) == first.now - 15_000
    assert (await store.silent(first.till, 15_000)).nodes == {}
    assert set((await store.silent(b"1700000000001", 15_000)).nodes) == {"away"}


async def test_one_reaper_at_a_time(store: ReaperStore, other: ReaperStore, wire: Wire) -> None:
    """Until its note ends, or the node was seen again and is away anew."""
    wire.push("core.ping")
    begun = await store.begin("n1", SEEN, 5000)
    assert isinstance(begun, Begun)
    assert begun.sizes == (0, 1, 0)
    taken = await other.begin("n1", SEEN, 5000)
    assert isinstance(taken, Taken)
    assert 4000 < taken.stands <= 5000
    assert isinstance(await store.begin("n1", SEEN, 5000), Begun)
    assert await other.claimed("n1", SEEN, 5000, b"0") is None
    assert await other.listed("n1", Source.COMMANDS, SEEN, 5000, 0) is None
    wire.redis.zadd(wire.keys.nodes(), {"n1": 1800000000000})
    assert isinstance(await other.begin("n1", b"1800000000000", 5000), Begun)


async def test_a_node_that_was_seen_since(store: ReaperStore, wire: Wire) -> None:
    """Or is listed no more."""
    wire.redis.zadd(wire.keys.nodes(), {"n1": now_ms()})
    assert await store.begin("n1", SEEN, 5000) is None
    wire.redis.zrem(wire.keys.nodes(), "n1")
    assert await store.begin("n1", SEEN, 5000) is None


async def test_nothing_of_a_node_that_is_there_is_touched(store: ReaperStore, wire: Wire) -> None:
    wire.redis.hset(wire.keys.claimed("n1"), "j", "running n1/7\n{}")
    payload = wire.payload("core.ping", expires_at=1)
    wire.push_bytes(payload)
    await store.begin("n1", SEEN, 5000)
    _comes_back(wire)
    present = await store.begin("n1", SEEN, 5000)
    assert isinstance(present, Present)
    assert 8000 < present.lease <= 9000
    assert await store.claimed("n1", SEEN, 5000, b"0") is None
    assert await store.listed("n1", Source.COMMANDS, SEEN, 5000, 0) is None
    assert await store.move("n1", Source.COMMANDS, {0: payload}) is None
    assert not await store.conclude("n1", [("j", "n1/7")], [])
    assert list(wire.claimed()) == [b"j"]
    assert len(wire.waiting()) == 1


async def test_claimed_commands_that_may_be_settled(store: ReaperStore, wire: Wire) -> None:
    """In parts; what only its node can do anything with is not read."""
    running = {f"r{number}": "running n1/1\n{}" for number in range(1000)}
    others = {f"w{number}": "waiting n1/1\n{}" for number in range(1000)}
    expiring = {"@7": '{"expires_at": 1}', "x": 'claimed n1/1\n{"expires_at": 1}'}
    wire.redis.hset(wire.keys.claimed("n1"), mapping={**running, **others, **expiring, "@8": "{}"})
    await store.begin("n1", SEEN, 5000)
    found: dict[bytes, bytes] = {}
    cursor, parts = b"", 0
    while cursor != b"0":
        part = await store.claimed("n1", SEEN, 5000, cursor or b"0")
        assert part is not None
        assert len(part.entries) < 200
        found.update(part.entries)
        cursor, parts = part.cursor, parts + 1
    assert {name.decode() for name in found} == {*running, *expiring}
    assert parts > 5


async def test_a_command_is_moved_only_from_where_it_was_seen(
    store: ReaperStore, wire: Wire
) -> None:
    """Whatever happened to the list meanwhile, a payload is in one of the two, once."""
    payloads = [wire.payload("core.ping", expires_at=1) for _ in range(6)]
    wire.push_bytes(*payloads, control=True)
    await store.begin("n1", SEEN, 5000)
    step = await store.listed("n1", Source.CONTROL, SEEN, 5000, 0)
    assert step is not None
    assert step.found == dict(enumerate(payloads))
    assert (step.next, step.ended) == (6, True)
    wire.redis.lrem(wire.keys.control("n1"), 1, payloads[2])
    some = {at: payloads[at] for at in (0, 1, 3, 5)}
    moved = await store.move("n1", Source.CONTROL, some)
    assert moved is not None
    assert set(moved.values()) == {payloads[0], payloads[1]}
    left = wire.redis.lrange(wire.keys.control("n1"), 0, -1)
    assert left == payloads[3:]
    assert wire.claimed() == {b"!%d" % number: payload for number, payload in moved.items()}


async def test_numbers_of_moved_commands_are_nobodys(store: ReaperStore, wire: Wire) -> None:
    """Below those of an agent that takes the lease from now on, and never given twice."""
    before = now_ms()
    numbers: set[int] = set()
    for _ in range(20):
        payloads = [wire.payload("core.ping", expires_at=1) for _ in range(100)]
        wire.push_bytes(*payloads)
        moved = await store.move("n1", Source.COMMANDS, dict(enumerate(payloads)))
        assert moved is not None
        numbers.update(moved)
    assert len(numbers) == 2000 == len(wire.claimed())
    assert wire.waiting() == []
    assert min(numbers) > (before - 10_000) * 1000
    assert max(numbers) < now_ms() * 1000


async def test_a_claim_of_another_is_not_forgotten(store: ReaperStore, wire: Wire) -> None:
    """The node was there meanwhile, and has filed a job anew."""
    filed = {"a": "running n1/7\n{}", "b": "running n1/8\n{}", "@9": "{}"}
    wire.redis.hset(wire.keys.claimed("n1"), mapping=filed)
    claims = [("a", "n1/7"), ("b", "n1/7"), ("@9", "n1/9"), ("c", "n1/7")]
    assert await store.conclude("n1", claims, [])
    assert await store.conclude("n1", claims, [])
    assert list(wire.claimed()) == [b"b"]


async def test_a_result_is_written_once_and_the_old_holder_is_out(
    store: ReaperStore, other: ReaperStore, wire: Wire
) -> None:
    """Even after a client has read it and removed it."""
    state = {"node": "n1", "claim": "n1/7", "holder": "gone", "stage": "running"}
    wire.redis.hset(wire.keys.state("j"), mapping=state)
    end = Finish("j", b"{}", "LOST", unaccepted="n1/7")
    assert await store.finish("n1", [end], 60_000) == [WRITTEN]
    assert await other.finish("n1", [end], 60_000) == [PRESENT]
    assert wire.state("j").items() >= {"holder": "me", "state": "LOST"}.items()
    wire.redis.delete(wire.keys.result("j"))
    assert await other.finish("n1", [end], 60_000) == [PRESENT]
    assert not wire.redis.exists(wire.keys.result("j"))


async def test_the_id_of_another_command_is_its_own(store: ReaperStore, wire: Wire) -> None:
    wire.redis.hset(wire.keys.state("j"), mapping={"claim": "n3/7", "holder": "x"})
    end = Finish("j", b"{}", "EXPIRED", unaccepted="n1/8")
    assert await store.finish("n1", [end], 60_000) == [TAKEN]
    assert wire.state("j") == {"claim": "n3/7", "holder": "x"}


async def test_a_node_is_forgotten_unless_it_was_seen_since(store: ReaperStore, wire: Wire) -> None:
    await store.forget("n1", b"1700000000001")
    assert wire.redis.zscore(wire.keys.nodes(), "n1") is not None
    await store.forget("n1", SEEN)
    assert wire.redis.zscore(wire.keys.nodes(), "n1") is None


async def test_that_a_node_is_away_is_told_once_for_each_absence(
    store: ReaperStore, other: ReaperStore, wire: Wire
) -> None:
    """By whoever notices it first; not of a node that is there again."""
    with wire.subscribed(wire.keys.events()) as heard:
        for reaper in (store, other, store):
            await reaper.tell_lapsed("n1", SEEN, b'{"event": 1}')
        await other.tell_lapsed("n1", b"1700000000001", b'{"event": 2}')
        _comes_back(wire)
        await store.tell_lapsed("n1", b"1700000000002", b'{"event": 3}')
        assert eventually(lambda: len(heard()) >= 2)
        assert heard() == [{"event": 1}, {"event": 2}]
    assert wire.redis.pttl(wire.keys.lapsed("n1")) > 0
