"""What nodes of a group may do to each other's commands, and when: step by step, at one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import redis

from corex_node.group_store import GroupStore, Taking, renewal
from corex_node.places import Place
from corex_node.records import Acceptance, Filing, Held
from corex_node.store import NodeStore
from corex_shared.connection import Endpoint, execute
from corex_shared.errors import GroupLostError
from corex_shared.finishing import PRESENT, STALE, WRITTEN, Finish
from corex_shared.keys import Keys

GROUP = "build"
LONG = 60_000


class Member:
    """One incarnation of a node, moved by hand."""

    def __init__(self, url: str, keys: Keys, node: str, incarnation: str) -> None:
        endpoint = Endpoint(url)
        self.node = node
        self.jobs = NodeStore(endpoint, keys, node, incarnation)
        self.group = GroupStore(endpoint, keys, node, incarnation)
        self.place: Place = self.group.place(GROUP)

    async def join(self, lease_ms: int = LONG) -> Member:
        await self.group.join(self.place, lease_ms)
        return self

    async def claim(self, number: int, most: int = 10) -> list[bytes | tuple[bytes, int]] | None:
        return await self.jobs.claim(self.place, most, number, 1 << 20, wait=False)

    async def admit(self, job: str, number: int, stage: str = "running", field: str = "") -> int:
        claim = f"{self.node}/{number}"
        filing = Filing(field or self.place.field(number), job, claim, stage, GROUP)
        (answer,) = await self.jobs.admit([Acceptance(job, claim, stage)], [filing])
        return answer

    async def finish(self, job: str, unaccepted: str = "") -> int:
        end = Finish(job, b'{"by": "%s"}' % self.node.encode(), "SUCCESS", unaccepted=unaccepted)
        (answer,) = await self.jobs.settle([], [], [], [end], [], LONG)
        return answer

    async def take(self, job: str, claim: str, holder: str, *, hand_on: bool = True) -> int:
        (answer,) = await self.group.take_over([Taking(job, claim, holder, hand_on)])
        return answer


Make = Callable[[str, str], Member]


@pytest_asyncio.fixture
async def make(redis_url: str, keys: Keys) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def member(node: str, incarnation: str) -> Member:
            made = Member(redis_url, keys, node, incarnation)
            stack.push_async_callback(made.jobs.close)
            stack.push_async_callback(made.group.close)
            return made

        yield member


@pytest.fixture
def pushed(raw: redis.Redis, keys: Keys) -> Callable[[int], None]:
    def push(count: int) -> None:
        raw.rpush(keys.group_commands(GROUP), *(b'{"id": "j%d"}' % at for at in range(count)))

    return push


def _list(raw: redis.Redis, keys: Keys) -> list[bytes]:
    found: list[bytes] = raw.lrange(keys.group_commands(GROUP), 0, -1)  # type: ignore[assignment]
    return found


def _members(raw: redis.Redis, keys: Keys) -> list[bytes]:
    found: list[bytes] = raw.zrange(keys.group_leases(GROUP), 0, -1)  # type: ignore[assignment]
    return found


async def test_a_claim_is_of_no_more_than_a_share(
    make: Make, pushed: Callable[[int], None]
) -> None:
    """Of what there is, rounded up; however much room the node has."""
    first, second, third = [await make(node, "i1").join() for node in ("a", "b", "c")]
    pushed(10)
    assert len(await first.claim(1) or []) == 4
    assert len(await second.claim(1) or []) == 2
    assert len(await third.claim(1, most=1) or []) == 1
    assert len(await third.claim(2) or []) == 1


async def test_who_is_no_member_or_quiet_claims_nothing(
    make: Make,
    pushed: Callable[[int], None],
    raw: redis.Redis,
    keys: Keys,
    redis_url: str,
) -> None:
    """Nor does one whose lease is over. A renewal that was on its way unsays no quiet."""
    pushed(3)
    stranger, late = make("a", "i1"), await make("b", "r1").join(-1)
    assert await late.claim(1) is None
    assert await stranger.claim(1) is None
    quiet = await make("c", "i1").join()
    await quiet.group.go_quiet([quiet.place], LONG)
    with redis.Redis.from_url(redis_url) as client:
        assert execute(client, [renewal(quiet.place, LONG, quiet=False)]) == [1]
        assert execute(client, [renewal(stranger.place, LONG, quiet=False)]) == [0]
    assert await quiet.claim(1) is None
    assert b"~c/i1" in _members(raw, keys)
    await quiet.group.leave([quiet.place])
    assert b"~c/i1" not in _members(raw, keys)


async def test_a_node_has_one_member(make: Make, raw: redis.Redis, keys: Keys) -> None:
    """Its next incarnation takes the place of the earlier ones, quiet ones too."""
    first = await make("a", "i1").join()
    await make("ab", "i1").join()
    await first.group.go_quiet([first.place], LONG)
    await make("a", "i2").join()
    assert sorted(_members(raw, keys)) == [b"a/i2", b"ab/i1"]


async def test_a_lease_that_is_over_is_held_until_it_is_swept(
    make: Make, pushed: Callable[[int], None]
) -> None:
    """Until then nobody has taken anything over; after that every write is refused."""
    holder, other = await make("a", "i1").join(), await make("b", "r1").join()
    pushed(2)
    assert await holder.claim(1)
    await holder.group.join(holder.place, -1)
    assert await holder.admit("j0", 1) == 1
    assert await other.group.sweep(other.place) == ["a/i1"]
    assert await other.group.sweep(other.place) == []
    with pytest.raises(GroupLostError, match="group build"):
        await holder.admit("j0", 1, field="j0")
    with pytest.raises(GroupLostError, match="group build"):
        await holder.jobs.give_back(holder.place, [Held(GROUP, "j0", "a/1")])
    assert await holder.group.sweep(holder.place) is None
    assert [left.field for left in await other.group.look(other.place)] == ["j0"]


async def test_what_was_handed_on_cannot_be_accepted_or_finished_by_who_had_it(
    make: Make, pushed: Callable[[int], None], raw: redis.Redis, keys: Keys
) -> None:
    """Whatever it does late, in whatever order: the next one has the job."""
    holder, other = await make("a", "i1").join(), await make("b", "r1").join()
    pushed(1)
    await holder.claim(1)
    assert await holder.admit("j0", 1, "waiting") == 1
    await holder.group.leave([holder.place])
    assert await other.take("j0", "a/1", "i1") == 1
    assert await other.take("j0", "a/1", "i1") == 1  # again, as after a crash
    assert await holder.finish("j0") == STALE
    assert await holder.finish("j0", unaccepted="a/1") == STALE
    await holder.join()  # the list has it not yet
    assert await holder.admit("j0", 1, field="j0") == -1
    await holder.group.leave([holder.place])
    assert await other.group.give_back(other.place, "a", [Held(GROUP, "j0", "a/1")])
    assert _list(raw, keys) == [b'{"id": "j0"}']
    assert await other.claim(7)
    assert await other.admit("j0", 7) == 1
    assert await holder.finish("j0") == STALE
    assert await other.finish("j0") == WRITTEN
    assert await holder.finish("j0") == STALE
    assert await other.finish("j0") == PRESENT


async def test_a_job_that_was_given_back_twice_remembers_both_claims(
    make: Make, pushed: Callable[[int], None]
) -> None:
    """The second node retreats in order, and the first still cannot accept it."""
    first, second = await make("a", "i1").join(), await make("b", "r1").join()
    pushed(1)
    await first.claim(1)
    await first.group.leave([first.place])
    assert await second.take("j0", "a/1", "") == 1
    assert await second.group.give_back(second.place, "a", [Held(GROUP, "@a/1")])
    assert await second.claim(5)
    assert await second.admit("j0", 5) == 1
    await second.jobs.forget(["j0"])
    await second.jobs.give_back(second.place, [Held(GROUP, "j0", "b/5")])
    await first.join()
    assert await first.admit("j0", 1) == -1
    assert await second.claim(6)
    assert await second.admit("j0", 6) == 1


async def test_a_job_is_taken_over_only_from_whom_it_was_seen_with(
    make: Make, pushed: Callable[[int], None]
) -> None:
    """The node's next agent was quicker: then it is its."""
    holder, other = await make("a", "i1").join(), await make("b", "r1").join()
    pushed(1)
    await holder.claim(1)
    await holder.admit("j0", 1, "waiting")
    assert await other.group.holders(["j0", "none"]) == ["i1", ""]
    following = await make("a", "i2").join()
    assert await following.admit("j0", 1, field="j0") == 1
    assert await other.take("j0", "a/1", "i1") == -1
    assert await other.take("j0", "a/1", "i1", hand_on=False) == -1
    assert not await other.group.give_back(other.place, "a", [Held(GROUP, "j0", "a/1")])
    assert not await other.group.release(other.place, "a", [Held(GROUP, "j0", "a/1")])
    assert await following.finish("j0") == WRITTEN
    assert await other.take("j0", "a/1", "i2", hand_on=False) == 2
    assert await other.take("j0", "z/9", "i2") == 0


async def test_nobody_touches_an_entry_of_another_claim(
    make: Make, pushed: Callable[[int], None], raw: redis.Redis, keys: Keys
) -> None:
    """A node that was gone, and is back, has the field of a job in its hand that is another's."""
    first, second = await make("a", "i1").join(), await make("b", "r1").join()
    pushed(1)
    await second.claim(5)
    await second.admit("j0", 5)
    mine = [Held(GROUP, "j0", "a/1")]
    await first.jobs.settle([], [], [], [], mine, LONG)
    await first.jobs.give_back(first.place, mine)
    await first.jobs.mark([Filing("j0", "j0", "a/1", "waiting", GROUP)])
    value = raw.hget(keys.group_claimed(GROUP), "j0")
    assert value == b'running b/5\n{"id": "j0"}'
    await second.jobs.settle([], [], [], [], [Held(GROUP, "j0", "b/5")], LONG)
    assert raw.hlen(keys.group_claimed(GROUP)) == 0
