"""Queues that all nodes share: order, exclusion, tokens, and what operators see and do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.fleet import QUICK_LEASES, Trace, own_queue, owner, push, push_in_order, waiters
from tests.helpers.nodes import NodeProcess, RunNode, start_together
from tests.helpers.wire import Pairs, Wire

NODES = ("n1", "n2", "n3")


@pytest.fixture(scope="module")
def fleet(
    redis_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, NodeProcess]]:
    """Three nodes that must outlive the tests of this file."""
    folder = tmp_path_factory.mktemp("fleet")
    nodes = {
        name: NodeProcess(name, redis_server.url, "fleet-queues", folder / name, env=QUICK_LEASES)
        for name in NODES
    }
    start_together(nodes.values())
    yield nodes
    for node in nodes.values():
        node.finish()


@pytest.fixture
def wire(fleet: dict[str, NodeProcess], raw: redis.Redis) -> Iterator[Wire]:
    """The plain way to them."""
    wire = Wire(raw, Keys("fleet-queues"), "n1")
    yield wire
    for node in fleet.values():
        assert node.running, node.log_tail()
        wire.wait_unclaimed(node.id)


@pytest.fixture
def queue(wire: Wire) -> Iterator[str]:
    """A queue of this test alone; nothing of it is left but its last token."""
    with own_queue(wire) as name:
        yield name


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Where jobs write when they begin and end."""
    return Trace(tmp_path / "trace")


def _answer(wire: Wire, command: str, node: str = "n1", /, **arguments: Any) -> Any:
    result = wire.result(wire.push(command, arguments, control=True, node=node))
    assert result["state"] == "SUCCESS", result
    return json.loads(result["data"])


def _server_ms(wire: Wire) -> int:
    seconds, microseconds = wire.redis.time()
    return int(seconds * 1000 + microseconds // 1000)


def _listed(wire: Wire, queue: str, node: str) -> Pairs | None:
    entries = _answer(wire, "queue.list", node)
    found = [entry for entry in entries if entry["queue"] == queue]
    assert len(found) <= 1
    return found[0] if found else None


def _check_alone(trace: Trace, jobs: list[str]) -> None:
    """Each ran once, in order, alone, with a higher token than those before."""
    runs = trace.runs()
    assert [run.job for run in runs] == jobs
    assert all(run.end == run.begin + 1 for run in runs), runs
    tokens = [run.token for run in runs]
    assert all(one < two for one, two in itertools.pairwise(tokens)), tokens


def test_jobs_of_several_nodes_run_one_at_a_time_in_order(
    wire: Wire, queue: str, trace: Trace
) -> None:
    """In the order in which they were pushed one after the other, wherever they run."""
    nodes = itertools.islice(itertools.cycle(NODES), 15)
    jobs = push_in_order(wire, queue, nodes, trace.script)
    results = wire.results(jobs)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    _check_alone(trace, jobs)


def test_many_of_one_node_keep_the_order_of_its_list(wire: Wire, queue: str, trace: Trace) -> None:
    """Also when they come all at once."""
    fields: Pairs = {"queue": queue, "queue_scope": "fleet"}
    payloads = [wire.payload("bash", {"script": trace.script("true")}, **fields) for _ in range(60)]
    wire.push_bytes(*payloads)
    jobs = [json.loads(payload)["id"] for payload in payloads]
    wire.results(jobs, 30)
    _check_alone(trace, jobs)


def test_a_queue_of_a_node_is_another_than_one_of_the_fleet(wire: Wire, queue: str) -> None:
    """Even if they have one name."""
    holder = push(wire, "n2", queue, "sleep 30")
    wire.wait_stage(holder, "running")
    assert wire.result(wire.script("echo $COREX_FENCING_TOKEN-", queue=queue))["streams"] == [
        "-\n",
        "",
    ]
    _answer(wire, "job.kill", "n2", id=holder)
    wire.result(holder)


def test_the_token_is_in_every_environment(wire: Wire, queue: str) -> None:
    """Whatever the command makes of its environment; who asks for another cannot have it."""
    fields: Pairs = {"queue": queue, "queue_scope": "fleet"}
    env = {"PATH": "/usr/bin:/bin", "COREX_FENCING_TOKEN": "mine"}
    told = []
    for clear in (False, True):
        arguments = {"name": "env", "env": env, "clear_env": clear}
        result = wire.result(wire.push("core.system", arguments, **fields))
        [line] = [x for x in result["streams"][0].splitlines() if "FENCING" in x]
        told.append(int(line.partition("=")[2]))
    result = wire.result(wire.script("echo $COREX_FENCING_TOKEN", node="n3", **fields))
    told.append(int(result["streams"][0]))
    assert told == sorted(set(told))


def test_a_waiting_job_says_so_and_can_be_killed(wire: Wire, queue: str, trace: Trace) -> None:
    """It leaves the line, and those behind it move up."""
    holder, killed, last = push_in_order(
        wire, queue, ("n1", "n2", "n3"), lambda: trace.script("sleep 0.5")
    )
    wire.wait_stage(killed, "waiting")
    assert _answer(wire, "job.kill", "n2", id=killed) is True
    result = wire.result(killed)
    assert (result["state"], result["attempts"]) == ("KILLED", 0)
    eventually(lambda: waiters(wire, queue) == [f"n3/{last}"], "it has left")
    wire.results([holder, last])
    _check_alone(trace, [holder, last])


def test_a_killed_holder_frees_the_queue_at_once(wire: Wire, queue: str, trace: Trace) -> None:
    """The next begins when the holder's processes are gone."""
    holder, following = push_in_order(
        wire, queue, ("n1", "n2"), iter([trace.script("sleep 30"), trace.script()]).__next__
    )
    eventually(lambda: trace.began(holder))
    _answer(wire, "job.kill", id=holder)
    assert wire.result(holder)["state"] == "KILLED"
    assert wire.result(following)["state"] == "SUCCESS"


def test_built_ins_wait_too(wire: Wire, queue: str) -> None:
    """Any command may stand in a queue."""
    holder = push(wire, "n1", queue, "sleep 30")
    wire.wait_stage(holder, "running")
    ping = wire.push("core.ping", node="n2", queue=queue, queue_scope="fleet")
    eventually(lambda: waiters(wire, queue) == [f"n2/{ping}"])
    _answer(wire, "job.kill", id=holder)
    assert wire.result(ping)["state"] == "SUCCESS"


def test_what_expires_in_line_does_not_run(wire: Wire, queue: str) -> None:
    """It is seen when its turn comes."""
    holder = push(wire, "n1", queue, "sleep 30")
    wire.wait_stage(holder, "running")
    soon = _server_ms(wire) + 300
    late = push(wire, "n2", queue, "echo never", expires_at=soon)
    eventually(lambda: _server_ms(wire) > soon)
    assert waiters(wire, queue) == [f"n2/{late}"]
    _answer(wire, "job.kill", id=holder)
    result = wire.result(late)
    assert (result["state"], result["attempts"]) == ("EXPIRED", 0)


def test_between_two_runs_the_queue_is_another_s(wire: Wire, queue: str, trace: Trace) -> None:
    """A recurring job stands in line for each run, and has a new token in each."""
    recurring = push(wire, "n1", queue, trace.script(), recurring_period=0.01)
    eventually(lambda: len(trace.runs()) > 1)
    others = [push(wire, "n2", queue, trace.script()) for _ in range(3)]
    assert {r["state"] for r in wire.results(others).values()} == {"SUCCESS"}
    runs = len(trace.runs())
    eventually(lambda: len(trace.runs()) > runs, "it runs on")
    _answer(wire, "job.kill", id=recurring)
    wire.result(recurring)
    tokens = [run.token for run in trace.runs()]
    assert tokens == sorted(set(tokens))


def test_a_failing_job_is_run_again_in_its_turn(wire: Wire, queue: str, trace: Trace) -> None:
    """The queue is given away between restarts."""
    failing = push(wire, "n1", queue, trace.script("false") + "; exit 1", max_restart=2)
    eventually(lambda: trace.began(failing))
    other = push(wire, "n2", queue, trace.script())
    assert wire.result(other)["state"] == "SUCCESS"
    assert wire.result(failing)["attempts"] == 2
    assert [run.job for run in trace.runs()] == [failing, other, failing]


def test_operators_see_who_holds_and_who_waits(wire: Wire, queue: str) -> None:
    """Of every node, on each node that has to do with it, with the token."""
    holder, second, third = push_in_order(wire, queue, NODES, lambda: "sleep 30")
    wire.wait_stage(holder, "running")
    expected = {
        "queue": queue,
        "scope": "fleet",
        "node": "n1",
        "holder": holder,
        "token": int(owner(wire, queue)["token"]),
        "waiters": [f"n2/{second}", f"n3/{third}"],
    }
    for node in NODES:
        entry = _listed(wire, queue, node)
        assert entry is not None
        assert entry.pop("since") > 0
        assert (entry.pop("starttime") > 0) == (node == "n1")
        assert entry.pop("stage") == ("running" if node == "n1" else "")
        assert entry == expected
    asked = {"command": "core.ping", "queue": queue, "queue_scope": "fleet"}
    told = _answer(wire, "core.explain", "n3", **asked)
    assert (told["position"], told["holder"], told["waits_for"]) == (3, holder, "queue")
    for node, job in (("n3", third), ("n2", second), ("n1", holder)):
        _answer(wire, "job.kill", node, id=job)
    wire.results([holder, second, third])
    assert _listed(wire, queue, "n1") is None
    told = _answer(wire, "core.explain", "n3", **asked)
    assert (told["position"], told["waits_for"]) == (0, None)


@pytest.mark.parametrize("releasing", ["n1", "n2", "n3"])
def test_a_queue_is_released_from_any_node(
    wire: Wire, queue: str, trace: Trace, releasing: str
) -> None:
    """The next runs beside the holder, which goes on to its end; its end frees nothing."""
    stuck, second, third = push_in_order(
        wire, queue, ("n1", "n2", "n1"), lambda: trace.script("sleep 1.5")
    )
    eventually(lambda: trace.began(stuck))
    assert _answer(wire, "queue.release", releasing, queue=queue, scope="fleet") is True
    eventually(lambda: trace.began(second), "the next begins")
    results = wire.results([stuck, second, third])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    runs = {run.job: run for run in trace.runs()}
    assert runs[second].begin < runs[stuck].end < runs[second].end < runs[third].begin
    tokens = [run.token for run in trace.runs()]
    assert tokens == sorted(set(tokens))


def test_a_queue_that_nobody_holds_cannot_be_released(wire: Wire, queue: str) -> None:
    """Which is false; so is one that was held just now."""
    assert _answer(wire, "queue.release", queue=queue, scope="fleet") is False
    wire.result(push(wire, "n1", queue, "true"))
    eventually(lambda: not owner(wire, queue))
    assert _answer(wire, "queue.release", queue=queue, scope="fleet") is False


def test_another_scope_is_an_error(wire: Wire) -> None:
    """It names the argument."""
    asked = wire.push("queue.release", {"queue": "q", "scope": "world"}, control=True)
    result = wire.result(asked)
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith("scope: ")


def test_no_key_is_without_a_time_to_live(wire: Wire, queue: str) -> None:
    """Whoever dies, a queue comes free and is forgotten."""
    holder, waiter = push_in_order(wire, queue, ("n1", "n2"), lambda: "sleep 30")
    keys = wire.keys
    names = (keys.queue_owner, keys.queue_waiters, keys.queue_seen, keys.queue_token)
    lives = [wire.redis.pttl(name(queue)) for name in names]
    assert all(life > 0 for life in lives), lives
    assert lives[0] <= 2000
    for node, job in (("n2", waiter), ("n1", holder)):
        _answer(wire, "job.kill", node, id=job)
    wire.results([holder, waiter])


def test_a_stopped_agent_gives_its_place_back(
    run_node: RunNode, raw: redis.Redis, keys: Keys, trace: Trace
) -> None:
    """What has not started goes back to its list and leaves the line; the holder's end frees it."""
    wire = Wire(raw, keys, "a")
    env = {"COREX_NODE_LIMITS_DRAIN": "0.1"}
    first, second = run_node("a", env=env), run_node("b", env=env)
    holder, waiting, other = push_in_order(
        wire, "q", ("a", "a", "b"), iter(["sleep 30", *[trace.script()] * 2]).__next__
    )
    wire.wait_stage(holder, "running")
    assert first.stop() == 0, first.log_tail()
    assert wire.result(holder)["state"] == "KILLED"
    assert wire.result(other)["state"] == "SUCCESS"
    assert waiters(wire, "q") == []
    assert [command["id"] for command in wire.waiting("a")] == [waiting]
    first.start()
    assert wire.result(waiting)["state"] == "SUCCESS"
    _check_alone(trace, [other, waiting])
    assert second.running
