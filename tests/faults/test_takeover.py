"""Two agents of one node: one holds the lease, the other waits, refuses, or takes over."""

from __future__ import annotations

import signal

import psutil

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire

SHORT = {"COREX_NODE_LIMITS_LEASE": "2", "COREX_NODE_LIMITS_HEARTBEAT": "0.5"}


def test_one_that_was_stopped_beyond_its_lease_does_no_harm_when_it_comes_back(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Its late results are refused, what it had claimed is its successor's, it ends with 1."""
    first = run_node("n1", url=own_redis.url, env=SHORT)
    running = wire.script("echo out; sleep 3; echo late", stream=True)
    holder = wire.script("sleep 1", queue="q")
    queued = wire.script("echo queued", queue="q")
    wire.wait_stage(running, "running")
    wire.wait_stage(holder, "running")
    wire.wait_stage(queued, "waiting")
    first.signal(signal.SIGSTOP)
    run_node("n1", url=own_redis.url, env=SHORT)
    results = wire.results([running, holder, queued])
    assert [results[job]["state"] for job in (running, holder, queued)] == [
        "LOST",
        "LOST",
        "SUCCESS",
    ]
    first.signal(signal.SIGCONT)
    assert first.wait() == 1
    assert "taken over" in first.log_text()
    assert wire.results([running, holder, queued]) == results
    assert [message["flags"] & 6 for message in wire.log(running)].count(4) == 1
    again = wire.push("core.ping")
    assert wire.result(again)["state"] == "SUCCESS"
    wire.wait_unclaimed()


def test_one_that_was_stopped_with_commands_in_hand_does_not_take_them_from_its_successor(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """What it accepts when it goes on is refused: its successor's job keeps its result."""
    first = run_node("n1", url=own_redis.url, env={**SHORT, "COREX_FAULT": "claimed:1:stop"})
    job = wire.script("echo out; sleep 1.5")
    eventually(lambda: wire.claimed() and psutil.Process(first.process.pid).status() == "stopped")
    run_node("n1", url=own_redis.url, env=SHORT)
    wire.wait_stage(job, "running")
    first.signal(signal.SIGCONT)
    assert first.wait() == 1
    assert wire.state(job)["stage"] == "running"
    result = wire.result(job)
    assert (result["state"], result["streams"][0]) == ("SUCCESS", "out\n")
    wire.wait_unclaimed()


def test_what_had_not_started_when_the_lease_was_lost_is_the_next_agents(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """However soon it finds out, it writes no end of it: nobody has asked for that."""
    first = run_node("n1", url=own_redis.url, env=SHORT)
    running = wire.script("sleep 60", queue="q")
    queued = [wire.script("echo queued", queue="q") for _ in range(3)]
    for job in queued:
        wire.wait_stage(job, "waiting")
    # As a replica has it that takes a master's place: the lease of an earlier agent.
    wire.redis.hset(wire.keys.presence("n1"), "incarnation", "earlier")
    assert first.wait() == 1
    wire.redis.delete(wire.keys.presence("n1"))
    run_node("n1", url=own_redis.url, env=SHORT)
    results = wire.results([running, *queued])
    assert results[running]["state"] in ("LOST", "KILLED")
    assert {results[job]["state"] for job in queued} == {"SUCCESS"}
    wire.wait_unclaimed()
