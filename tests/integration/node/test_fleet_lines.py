"""Lines of the fleet in Redis, as several nodes in one process see them; their jobs do nothing.

What takes agents minutes is tried here thousands of times: who enters, leaves, dies, comes back,
and whose answers get lost, in any order.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from corex_node.manager.jobs import Job
from corex_shared.connection import execute
from corex_shared.errors import ServiceUnavailableError
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually_async
from tests.helpers.line import Hall, Node, until

LEASE = 0.5


@pytest.fixture
async def hall(redis_url: str, keys: Keys) -> AsyncIterator[Hall]:
    """A fleet without nodes."""
    made = Hall(redis_url, keys, LEASE)
    yield made
    await made.client.aclose()


class Nodes(dict[str, Node]):
    """Nodes by name, made when they are asked for."""

    hall: Hall

    def __missing__(self, name: str) -> Node:
        self[name] = Node(self.hall, name)
        return self[name]

    async def restart(self, name: str) -> Node:
        """End an agent, and begin another of the same node."""
        await self.pop(name).die()
        return self[name]


@pytest.fixture
async def nodes(hall: Hall) -> AsyncIterator[Nodes]:
    """Its nodes."""
    made = Nodes()
    made.hall = hall
    yield made
    for node in made.values():
        await node.die()


async def _is_free(hall: Hall) -> bool:
    return not await hall.owner()


def _rising(hall: Hall) -> bool:
    tokens = [token for _, token in hall.starts]
    return all(one < two for one, two in itertools.pairwise(tokens))


@pytest.mark.parametrize("losses", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_keeps_order_exclusion_and_tokens(
    hall: Hall, nodes: Nodes, seed: int, losses: float
) -> None:
    """Sixty jobs of three nodes; some are killed as they wait or run, whatever gets lost."""
    hall.lease = 5  # longer than whatever is tried again: nobody is to be taken for dead
    chance = random.Random(seed)
    jobs: dict[str, tuple[Node, Job]] = {}
    killed: set[str] = set()

    def end_some() -> None:
        for job_id in [job_id for job_id in hall.running if chance.random() < 0.5]:
            node, job = jobs[job_id]
            node.leave(job)

    for number in range(60):
        node = nodes[f"n{chance.randint(1, 3)}"]
        node.store.losses, node.store.chance = losses, chance
        job = node.enter(f"j{number}")
        jobs[job.id] = node, job
        await hall.entered(f"{node.name}/{job.id}")
        end_some()
        if chance.random() < 0.3:
            owner, victim = jobs[chance.choice(list(jobs))]
            owner.leave(victim)
            killed.add(victim.id)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.02)
    async with asyncio.timeout(20):
        while {job_id for job_id, _ in hall.starts} | killed < jobs.keys() or hall.running:
            end_some()
            await asyncio.sleep(0.001)
    began = [job_id for job_id, _ in hall.starts]
    assert began == [job_id for job_id in jobs if job_id in set(began)]
    assert {*began, *killed} == jobs.keys()
    assert hall.most == 1
    assert _rising(hall)
    for name in nodes:
        await asyncio.wait_for(nodes[name].queues.flushed(), 5)
    assert (await hall.owner(), await hall.waiters()) == ("", [])


async def test_a_node_s_next_agent_has_its_places(hall: Hall, nodes: Nodes) -> None:
    """The holder's place with a new token, the others where they stood."""
    for number, name in enumerate(("a", "b", "a", "b")):
        nodes[name].enter(f"j{number}")
        await hall.entered(f"{name}/j{number}")
    before = await hall.waiters()
    again = await nodes.restart("a")
    for job_id in ("j0", "j2"):
        again.enter(job_id)
    await eventually_async(lambda: len(hall.starts) == 2)
    assert [job_id for job_id, _ in hall.starts] == ["j0", "j0"]
    assert _rising(hall)
    assert await hall.waiters() == before


async def test_what_a_predecessor_lost_is_free_at_once(hall: Hall, nodes: Nodes) -> None:
    """And its places are left, when its jobs do not go on."""
    hall.lease = 60  # nothing of it runs out
    for job_id in ("j0", "j1"):
        nodes["a"].enter(job_id)
        await hall.entered(f"a/{job_id}")
    following = nodes["b"].enter("j2")
    await hall.entered("b/j2")
    again = await nodes.restart("a")
    for job_id in ("j0", "j1"):
        again.queues.disown("q", job_id)
    await hall.granted(following)
    assert await hall.waiters() == []


async def test_a_dead_holder_and_dead_waiters_are_passed_over(hall: Hall, nodes: Nodes) -> None:
    """After their leases, in which a successor could have come."""
    for number in range(20):
        nodes["a"].enter(f"j{number}")
    await hall.entered("a/j19")
    last = nodes["b"].enter("last")
    await nodes.pop("a").die()
    began = time.monotonic()
    await hall.granted(last)
    # One lease for all of them, not one for each.
    assert LEASE / 2 < time.monotonic() - began < 18 * LEASE
    assert [job_id for job_id, _ in hall.starts] == ["j0", "last"]


async def test_a_holder_that_is_late_has_its_queue_back(hall: Hall, nodes: Nodes) -> None:
    """Its lease has run out, others wait, and it is there before they have taken it for dead."""
    holder = nodes["a"].enter("j0")
    token = await hall.granted(holder)
    nodes["b"].enter("j1")
    await hall.entered("b/j1")
    nodes["a"].mute = True
    await until(lambda: _is_free(hall))
    assert not nodes["a"].queues.holds(holder)
    for job_id in ("j2", "j3"):  # it looks whose turn it is
        nodes["b"].enter(job_id)
        await hall.entered(f"b/{job_id}")
    await nodes["a"].beat()
    assert await hall.owner() == "a/j0"
    nodes["a"].mute = False
    await eventually_async(lambda: nodes["a"].queues.holds(holder))
    assert hall.starts == [("j0", token)]
    nodes["a"].leave(holder)
    await eventually_async(lambda: len(hall.starts) == 2)


async def test_a_holder_that_comes_too_late_is_told(hall: Hall, nodes: Nodes) -> None:
    """Also when its successor has ended already; its late return frees nobody's queue."""
    holder = nodes["a"].enter("j0")
    await hall.granted(holder)
    nodes["a"].mute = True
    second = nodes["b"].enter("j1")
    await hall.granted(second)
    nodes["b"].leave(second)
    third = nodes["b"].enter("j2")
    await hall.granted(third)
    nodes["a"].mute = False
    await eventually_async(lambda: nodes["a"].lost == ["j0"])
    nodes["a"].leave(holder)
    await asyncio.sleep(0.05)  # nothing is to happen
    assert await hall.owner() == "b/j2"
    assert _rising(hall)


async def test_a_renewal_that_is_late_does_not_bring_a_released_queue_back(
    hall: Hall, nodes: Nodes, raw: redis.Redis
) -> None:
    """It was asked before the job ended, and arrives after."""
    node = nodes["a"]
    holder = node.enter("j0")
    await hall.granted(holder)
    node.mute = True
    late = node.queues.calls()
    node.leave(holder)
    await asyncio.wait_for(node.queues.flushed(), 5)
    await eventually_async(lambda: not raw.exists(hall.keys.queue_owner("q")))
    assert execute(raw, late) == [[0]]
    assert await hall.owner() == ""


async def test_who_was_taken_for_dead_stands_in_line_again(hall: Hall, nodes: Nodes) -> None:
    """With all its jobs, in their order: those behind them were behind them before."""
    holder = nodes["a"].enter("j0")
    await hall.granted(holder)
    jobs = {}
    for name, job_id in (("b", "j1"), ("c", "j2"), ("b", "j3")):
        jobs[job_id] = nodes[name].enter(job_id)
        await hall.entered(f"{name}/{job_id}")
    nodes["b"].store.away = True
    await asyncio.sleep(LEASE * 1.5)  # how long it is away is the case
    nodes["a"].leave(holder)
    await hall.granted(jobs["j2"])
    nodes["b"].store.away = False
    nodes["c"].enter("j4")
    await hall.entered("c/j4")
    await hall.entered("b/j1")
    assert await hall.waiters() == ["b/j1", "b/j3", "c/j4"]


async def test_a_grant_whose_answer_was_lost_is_not_lost(hall: Hall, nodes: Nodes) -> None:
    """Not even when its lease has run out before the node could ask again."""
    nodes["b"].store.lose_answers = 1
    granted = nodes["b"].enter("j1")
    await eventually_async(lambda: nodes["b"].store.away, "the answer was lost")
    assert await hall.owner() == "b/j1"
    nodes["a"].enter("j2")
    await hall.entered("a/j2")
    await until(lambda: _is_free(hall))
    nodes["b"].store.away = False
    await hall.granted(granted)
    assert [job_id for job_id, _ in hall.starts] == ["j1"]
    assert await hall.waiters() == ["a/j2"]


async def test_a_job_that_leaves_not_knowing_of_its_grant_frees_the_queue(
    hall: Hall, nodes: Nodes
) -> None:
    """At once, whether the lease has run out or not."""
    hall.lease = 3  # in which a slow machine has done what is to be done at once
    for job_id, lapsed in (("j1", False), ("j2", True)):
        nodes["b"].store.lose_answers = 1
        job = nodes["b"].enter(job_id)
        await eventually_async(lambda: nodes["b"].store.away, "the answer was lost")
        assert await hall.owner() == f"b/{job_id}"
        if lapsed:
            await until(lambda: _is_free(hall))
        nodes["b"].leave(job)
        nodes["b"].store.away = False
        await asyncio.wait_for(nodes["b"].queues.flushed(), 5)
        began = time.monotonic()
        following = nodes["a"].enter(f"after-{job_id}")
        await hall.granted(following)
        assert time.monotonic() - began < hall.lease / 2
        nodes["a"].leave(following)
        await until(lambda: _is_free(hall))
    assert not {"j1", "j2"} & {job_id for job_id, _ in hall.starts}


async def test_an_agent_that_is_not_sure_of_its_node_takes_nothing(
    hall: Hall, nodes: Nodes
) -> None:
    """It hung, and may have a successor; what it holds it may give back."""
    held = nodes["a"].enter("j0", queue="other")
    await hall.granted(held)
    nodes["a"].mute = True
    await asyncio.sleep(LEASE * 1.2)  # how long it hung is the case
    job = nodes["a"].enter("j1")
    nodes["a"].leave(held)
    await asyncio.wait_for(nodes["a"].queues.flushed(), 5)
    assert (await hall.owner(), await hall.waiters()) == ("", [])
    nodes["a"].mute = False
    await hall.granted(job)


async def test_redis_forgets_a_line(hall: Hall, nodes: Nodes, raw: redis.Redis) -> None:
    """Those who wait stand in line again; nobody waits for ever."""
    holder = nodes["a"].enter("j0")
    await hall.granted(holder)
    for job_id in ("j1", "j2"):
        nodes["b"].enter(job_id)
        await hall.entered(f"b/{job_id}")
    raw.delete(hall.keys.queue_waiters("q"))
    for job_id in ("j1", "j2"):
        await hall.entered(f"b/{job_id}")
    assert await hall.waiters() == ["b/j1", "b/j2"]
    assert hall.most == 1


async def test_an_entry_of_nobody_costs_a_moment(
    hall: Hall, nodes: Nodes, raw: redis.Redis
) -> None:
    """Of a job that its node does not know, and of what no node has written."""
    hall.lease = 60  # it is given back, not left to run out
    raw.rpush(hall.keys.queue_waiters("q"), "a/unknown", "no entry at all", "")
    job = nodes["a"].enter("j0")
    assert await hall.granted(job) > 1
    assert [job_id for job_id, _ in hall.starts] == ["j0"]


@pytest.mark.parametrize("role", ["queue_owner", "queue_waiters", "queue_seen", "queue_token"])
async def test_somebody_else_s_key_harms_that_queue_only(
    hall: Hall, nodes: Nodes, raw: redis.Redis, role: str
) -> None:
    """Its jobs wait until the key is gone."""
    key: str = getattr(hall.keys, role)("q")
    if role == "queue_token":
        raw.set(key, "no number")
    else:
        raw.set(key, "x")
    held_up = nodes["a"].enter("j0")
    for number in range(3):
        other = nodes["a"].enter(f"o{number}", queue="other")
        await hall.granted(other)
        nodes["a"].leave(other)
    assert not nodes["a"].queues.holds(held_up)
    raw.delete(key)
    await hall.granted(held_up)


async def test_a_queue_taken_by_hand_is_not_lost(hall: Hall, nodes: Nodes) -> None:
    """The holder's node hears of it by its heartbeat, whoever asked, and lets the job go on."""
    for name in ("a", "b", "c"):
        nodes[name].enter(f"of-{name}")
        await hall.entered(f"{name}/of-{name}")
    for name in ("a", "b"):
        await eventually_async(lambda name=name: name in _holding(nodes))  # type: ignore[misc]
        assert await nodes["c"].queues.release("q") is True
    await eventually_async(lambda: "c" in _holding(nodes))
    await asyncio.sleep(LEASE)  # heartbeats come and go, and nothing is to happen
    assert [nodes[name].lost for name in ("a", "b", "c")] == [[], [], []]
    assert _rising(hall)
    [shown] = await nodes["c"].queues.held()
    assert (shown.node, shown.holder, shown.waiters) == ("c", "of-c", [])
    assert await nodes["a"].queues.held() == []


def _holding(nodes: Nodes) -> list[str]:
    return [name for name, node in nodes.items() if node.tokens]


async def test_what_is_asked_without_redis_is_an_error(hall: Hall, nodes: Nodes) -> None:
    """It is not known, and said so."""
    hall.endpoint = type(hall.endpoint)("redis://127.0.0.1:1")
    for question in (
        nodes["z"].queues.release("q"),
        nodes["z"].queues.shown("q"),
    ):
        with pytest.raises(ServiceUnavailableError, match="queue: Redis"):
            await question


async def test_a_thousand_jobs_of_a_node_and_a_thousand_queues(hall: Hall, nodes: Nodes) -> None:
    """Entered, passed on and left in a few round trips, not one for each."""
    asked: list[int] = []
    store = nodes["a"].store
    tell = store.tell

    async def counted(requests: Any) -> Any:
        asked.append(len(requests))
        return await tell(requests)

    store.tell = counted  # type: ignore[method-assign]
    jobs = [nodes["a"].enter(f"j{number}") for number in range(1000)]
    others = [nodes["a"].enter(f"o{number}", queue=f"q{number}") for number in range(1000)]
    await eventually_async(lambda: len(hall.starts) == 1001)
    assert len(asked) < 10
    assert len(await hall.waiters()) == 999
    for job in (*others, *reversed(jobs)):
        nodes["a"].leave(job)
    await asyncio.wait_for(nodes["a"].queues.flushed(), 10)
    assert (await hall.owner(), await hall.waiters()) == ("", [])
    assert len(asked) < 40


async def test_news_go_to_the_node_whose_turn_it_is(hall: Hall, nodes: Nodes) -> None:
    """So that a queue changes hands at once, and the others are not stirred."""
    order = []
    for number in range(20):
        name = "ab"[number % 2]
        order.append((nodes[name], nodes[name].enter(f"j{number}")))
        await hall.entered(f"{name}/j{number}")
    await asyncio.sleep(0.1)  # both listen by now
    began = time.monotonic()
    for node, job in order:
        await hall.granted(job)
        node.leave(job)
    assert time.monotonic() - began < 12, "a second each if they were to look by themselves"
