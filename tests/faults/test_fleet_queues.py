"""Queues of the fleet while agents die, hang and come back, and Redis goes away.

Jobs write a trace: order, exclusion and tokens are judged by what they did.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.fleet import (
    QUICK_LEASES,
    Trace,
    has_entered,
    own_queue,
    owner,
    push,
    push_in_order,
    waiters,
)
from tests.helpers.nodes import NodeProcess, start_together
from tests.helpers.wire import Wire

LEASE = float(QUICK_LEASES["COREX_NODE_LIMITS_LEASE"])
Fleet = dict[str, NodeProcess]


@pytest.fixture(scope="module")
def own_redis() -> Iterator[EmbeddedRedis]:
    """A server of these tests alone, with an append-only file."""
    with EmbeddedRedis(persistent=True) as server:
        yield server


@pytest.fixture(scope="module")
def agents(own_redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three nodes with short leases, and one that has the usual."""
    folder = tmp_path_factory.mktemp("fleet")
    nodes = {
        name: NodeProcess(
            name,
            own_redis.url,
            "fleet",
            folder / name,
            env={} if name == "slow" else QUICK_LEASES,
        )
        for name in ("n1", "n2", "n3", "slow")
    }
    yield nodes
    for node in nodes.values():
        node.finish()


@pytest.fixture
def fleet(agents: Fleet) -> Fleet:
    """These nodes, all of them there."""
    start_together(agents.values())
    return agents


@pytest.fixture
def wire(own_redis: EmbeddedRedis) -> Iterator[Wire]:
    """The plain way to them."""
    with redis.Redis.from_url(own_redis.url, socket_timeout=60) as client:
        yield Wire(client, Keys("fleet"), "n1")


@pytest.fixture
def queue(wire: Wire) -> Iterator[str]:
    """A queue of this test alone; nothing of it is left but its last token."""
    with own_queue(wire) as name:
        yield name


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Where jobs write when they begin and end."""
    return Trace(tmp_path / "trace")


def _check_order(trace: Trace, jobs: list[str]) -> None:
    """These ran once, in order, none before the one before had ended, with rising tokens."""
    runs = trace.runs()
    assert [run.job for run in runs] == jobs
    for one, two in itertools.pairwise(runs):
        assert one.end < two.begin, (one, two)
        assert one.token < two.token, (one, two)


def _end_of(trace: Trace, job: str) -> int:
    [end] = [run.end for run in trace.runs() if run.job == job]
    return end


def _scripts(*scripts: str) -> Any:
    return iter(scripts).__next__


def _kill(wire: Wire, node: str, job: str) -> None:
    wire.push("job.kill", {"id": job}, node=node, control=True)


def test_a_holder_that_dies_frees_the_queue_after_its_lease(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """Not before; and its job is LOST when its node is back."""
    holder, following = push_in_order(
        wire, queue, ("n1", "n2"), _scripts(trace.script("sleep 30"), trace.script())
    )
    eventually(lambda: trace.began(holder))
    fleet["n1"].kill()
    killed = time.monotonic()
    assert wire.redis.pttl(wire.keys.queue_owner(queue)) > 0
    assert wire.result(following)["state"] == "SUCCESS"
    assert LEASE / 2 < time.monotonic() - killed < 2 * LEASE + 3
    fleet["n1"].start()
    assert wire.result(holder)["state"] == "LOST"
    _check_order(trace, [holder, following])


def test_an_agent_that_is_back_soon_frees_what_it_lost(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """It settles its predecessor's job and does not wait for the lease."""
    slow = fleet["slow"]  # a lease of 15 s
    holder, following = push_in_order(
        wire, queue, ("slow", "n2"), _scripts(trace.script("sleep 30"), trace.script())
    )
    eventually(lambda: trace.began(holder))
    slow.kill()
    slow.start()
    assert wire.result(holder)["state"] == "LOST"
    assert wire.result(following, 5)["state"] == "SUCCESS"
    _check_order(trace, [holder, following])


def test_a_job_that_runs_again_after_its_agent_died_keeps_the_queue(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """With a new token: what its first run still does is told from the second."""
    slow = fleet["slow"]
    script = f"test -e {trace.path}.again || {{ touch {trace.path}.again; sleep 30; }}"
    holder, following = push_in_order(
        wire, queue, ("slow", "n2"), lambda: trace.script(script), on_lost="retry"
    )
    eventually(Path(f"{trace.path}.again").exists)
    slow.kill()
    slow.start()
    assert wire.result(holder)["state"] == "SUCCESS"
    assert wire.result(following)["state"] == "SUCCESS"
    runs = trace.runs()
    assert [run.job for run in runs] == [holder, holder, following]
    assert runs[0].token < runs[1].token < runs[2].token
    assert runs[1].end < runs[2].begin


def test_places_in_line_outlive_an_agent(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """The next incarnation stands where its predecessor stood."""
    holder, first, second = push_in_order(
        wire,
        queue,
        ("n1", "n2", "n3"),
        lambda: trace.script(f"until [ -e {trace.path}.go ]; do sleep 0.01; done"),
    )
    line = [f"n2/{first}", f"n3/{second}"]
    fleet["n2"].kill()
    fleet["n2"].start()
    eventually(lambda: "waiting" in wire.state(first).get("stage", ""))
    assert waiters(wire, queue) == line
    Path(f"{trace.path}.go").touch()
    wire.results([holder, first, second])
    _check_order(trace, [holder, first, second])


def test_waiters_of_a_dead_node_do_not_block(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """They are passed over after their node's lease; it stands in line again when it is back."""
    holder, dead, dead_too, following = push_in_order(
        wire, queue, ("n1", "n2", "n2", "n3"), lambda: trace.script("sleep 0.3")
    )
    fleet["n2"].kill()
    assert wire.result(following)["state"] == "SUCCESS"
    fleet["n2"].start()
    wire.results([holder, dead, dead_too])
    _check_order(trace, [holder, following, dead, dead_too])


def test_a_node_that_was_taken_for_dead_stands_in_line_again(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """At the end, and says so."""
    holder, hung, following = push_in_order(
        wire, queue, ("n1", "n2", "n3"), lambda: trace.script("sleep 0.3")
    )
    fleet["n2"].signal(signal.SIGSTOP)
    assert wire.result(following)["state"] == "SUCCESS"
    fleet["n2"].signal(signal.SIGCONT)
    wire.results([holder, hung])
    _check_order(trace, [holder, following, hung])
    eventually(lambda: "queue.places_lost" in fleet["n2"].log_text())


def test_a_holder_that_hung_beyond_its_lease_is_stopped(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """By its own agent, when that is awake again; the token of its successor is higher."""
    holder, following = push_in_order(wire, queue, ("n1", "n2"), lambda: trace.script("sleep 30"))
    eventually(lambda: trace.began(holder))
    fleet["n1"].signal(signal.SIGSTOP)
    eventually(lambda: trace.began(following), seconds=20)
    fleet["n1"].signal(signal.SIGCONT)
    result = wire.result(holder)
    assert (result["state"], result["code"]) == ("KILLED", 499)
    assert json.loads(result["data"]).startswith(f"queue {queue}: ")
    assert "state" not in wire.state(following)
    one, two = trace.runs()
    assert one.token < two.token
    assert owner(wire, queue)["job"] == following
    _kill(wire, "n2", following)
    wire.result(following)


def test_a_lapsed_lease_that_nobody_took_is_restored(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """With nobody in line the job goes on as the holder, by the same token."""
    holder = push(wire, "n1", queue, trace.script("sleep 6"))
    eventually(lambda: trace.began(holder))
    before = owner(wire, queue)["token"]
    fleet["n1"].signal(signal.SIGSTOP)
    eventually(lambda: not owner(wire, queue), "the lease has run out")
    fleet["n1"].signal(signal.SIGCONT)
    eventually(lambda: owner(wire, queue).get("token") == before, "it is restored")
    following = push(wire, "n2", queue, trace.script())
    assert wire.result(holder)["state"] == "SUCCESS"
    assert wire.result(following)["state"] == "SUCCESS"
    _check_order(trace, [holder, following])


@pytest.mark.parametrize("away", [0.0, LEASE + 1.5], ids=["for a moment", "beyond the lease"])
def test_redis_is_killed_and_started(
    own_redis: EmbeddedRedis, fleet: Fleet, wire: Wire, queue: str, trace: Trace, away: float
) -> None:
    """Holders go on, nobody else begins, and nobody loses the queue or a place in line."""
    work = f"until [ -e {trace.path}.go ]; do sleep 0.01; done"
    jobs = push_in_order(wire, queue, ("n1", "n2", "n3", "n2", "n1"), lambda: trace.script(work))
    eventually(lambda: trace.began(jobs[0]))
    own_redis.kill()
    time.sleep(away)  # how long it is away is the case
    assert len(trace.runs()) == 1
    own_redis.start()
    eventually(lambda: owner(wire, queue).get("job") == jobs[0], "it holds the queue again")
    Path(f"{trace.path}.go").touch()
    results = wire.results(jobs)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    _check_order(trace, jobs)
    assert all(node.running for node in fleet.values())


def test_redis_forgets_everything(
    own_redis: EmbeddedRedis, fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """The holder goes on as such, and who waits stands in line again."""
    work = f"until [ -e {trace.path}.go ]; do sleep 0.01; done"
    jobs = push_in_order(wire, queue, ("n1", "n2", "n2"), lambda: trace.script(work))
    eventually(lambda: trace.began(jobs[0]))
    keys = wire.keys
    for name in (keys.queue_owner, keys.queue_waiters, keys.queue_seen, keys.queue_token):
        wire.redis.delete(name(queue))
    eventually(lambda: len(waiters(wire, queue)) + bool(owner(wire, queue)) >= 2)
    Path(f"{trace.path}.go").touch()
    wire.results(jobs)
    assert {run.job for run in trace.runs()} == set(jobs)


def test_connections_are_killed_all_the_time(
    own_redis: EmbeddedRedis, fleet: Fleet, wire: Wire, queue: str, trace: Trace
) -> None:
    """Whatever answers are lost: nothing runs twice, beside another, or out of order."""
    jobs = []
    for number in range(30):
        wire.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        job = push(wire, f"n{number % 3 + 1}", queue, trace.script("true"))
        eventually(lambda job=job: has_entered(wire, queue, job), f"{job} has entered")  # type: ignore[misc]
        wire.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        jobs.append(job)
    results = wire.results(jobs, 30)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    _check_order(trace, jobs)
    eventually(lambda: not owner(wire, queue))


def _choices(seed: int) -> Iterator[tuple[str, bool]]:
    chance = random.Random(seed)
    while True:
        yield chance.choice(("n1", "n2", "slow")), chance.random() < 0.3


@pytest.mark.parametrize("seed", [1, 2])
def test_any_interleaving_keeps_order_exclusion_and_tokens(
    fleet: Fleet, wire: Wire, queue: str, trace: Trace, seed: int
) -> None:
    """Sixty jobs of three nodes, some killed as they wait or run, an agent killed in the middle."""
    chance = random.Random(seed)
    jobs: list[str] = []
    nodes: dict[str, str] = {}
    for number, (node, killed) in zip(range(60), _choices(seed), strict=False):
        job = push(wire, node, queue, trace.script(f"sleep {chance.uniform(0, 0.08):.3f}"))
        eventually(lambda job=job: has_entered(wire, queue, job), f"{job} has entered")  # type: ignore[misc]
        jobs.append(job)
        nodes[job] = node
        if killed:
            victim = chance.choice(jobs)
            _kill(wire, nodes[victim], victim)
        if number == 30:  # a lease in which an agent can be started: places are kept
            fleet["slow"].kill()
            fleet["slow"].start()
    results = wire.results(jobs, 45)
    assert {r["state"] for r in results.values()} <= {"SUCCESS", "KILLED", "LOST"}
    assert sum(r["state"] == "LOST" for r in results.values()) <= 1
    runs = trace.runs()
    began = [run.job for run in runs]
    assert began == [job for job in jobs if job in set(began)], "in the order of their entry"
    tokens = [run.token for run in runs]
    assert tokens == sorted(set(tokens))
    for one, two in itertools.pairwise(runs):
        assert one.end < two.begin
    done = {job for job, result in results.items() if result["state"] == "SUCCESS"}
    assert {run.job for run in runs if run.end >= 0} >= done
    eventually(lambda: not owner(wire, queue) and not waiters(wire, queue), "nothing is left")
