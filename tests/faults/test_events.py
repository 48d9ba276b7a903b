"""Events while things go wrong: Redis is away, a node dies, comes back or is taken over."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator

import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Pairs, Wire

SECONDS = 25
SHORT = {
    "COREX_NODE_LIMITS_LEASE": "1",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.3",
    "COREX_NODE_EVENTS_JOBS": "always",
}
Hearing = Callable[[], list[Pairs]]


@pytest.fixture
def heard(wire: Wire) -> Iterator[Hearing]:
    """Who listens; a server that is only paused keeps the subscription."""
    with wire.subscribed(wire.keys.events()) as hearing:
        yield hearing


def wait_for(heard: Hearing, kind: str, count: int = 1) -> list[Pairs]:
    """The events of a kind, when there are so many."""

    def found() -> list[Pairs]:
        events = [event for event in heard() if event["event"] == kind]
        return events if len(events) >= count else []

    return eventually(found, f"{count} of {kind}", seconds=SECONDS)


def test_what_happens_while_redis_is_away_is_told_when_it_is_back(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, heard: Hearing
) -> None:
    """Ends of jobs, and that the lease had run out; in order, with the time of each."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    jobs = [wire.script("sleep 1") for _ in range(20)]
    wait_for(heard, "job.started", 20)
    own_redis.pause()
    eventually(lambda: "lease.lapsed" in node.log_text(), "it notices", seconds=SECONDS)
    own_redis.resume()
    ends = wait_for(heard, "job.finished", 20)
    wait_for(heard, "node.returned")
    assert sorted(event["job"] for event in ends) == sorted(jobs)
    assert {event["state"] for event in ends} == {"SUCCESS"}
    life = [event for event in heard() if event["event"].startswith("node.")]
    assert [event["event"] for event in life] == ["node.started", "node.lapsed", "node.returned"]
    assert life[1]["time"] < life[2]["time"]
    assert len({event["incarnation"] for event in life}) == 1


def test_an_agent_that_was_stopped_says_that_it_was_away(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, heard: Hearing
) -> None:
    node = run_node("n1", url=own_redis.url, env=SHORT)
    wait_for(heard, "node.started")
    node.signal(signal.SIGSTOP)
    eventually(lambda: not wire.presence(), "its lease has run out")
    node.signal(signal.SIGCONT)
    wait_for(heard, "node.returned")
    kinds = [event["event"] for event in heard()]
    assert kinds == ["node.started", "node.lapsed", "node.returned"]


def test_that_a_node_is_gone_is_told_by_another_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, heard: Hearing
) -> None:
    """However many look; what ran there is `reaped`; its next agent tells of its own start."""
    gone = run_node("n1", url=own_redis.url, env=SHORT)
    others = [f"n{number}" for number in range(2, 5)]
    for other in others:
        run_node(other, url=own_redis.url, env=SHORT)
    job = wire.script("sleep 60", reply_to="alice:laptop:1")
    wire.wait_stage(job, "running")
    seen = wire.redis.zscore(wire.keys.nodes(), "n1")
    gone.kill()
    [lapsed] = wait_for(heard, "node.lapsed")
    [reaped] = wait_for(heard, "reaped")
    assert (lapsed["node"], reaped["node"], reaped["job"]) == ("n1", "n1", job)
    assert lapsed["by"] in others
    assert lapsed["last_seen"] >= seen
    assert wire.redis.get(wire.keys.lapsed("n1")) == str(lapsed["last_seen"]).encode()
    gone.start()
    wait_for(heard, "node.started", 5)
    kinds = [event["event"] for event in heard() if event["node"] == "n1"]
    assert kinds.count("node.lapsed") == 1
    assert kinds[-1] == "node.started"


def test_who_is_taken_over_says_so(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, heard: Hearing
) -> None:
    """An agent that was stopped wakes up to another of its node: `node.stopped`, with why."""
    first = run_node("n1", url=own_redis.url, env=SHORT)
    wait_for(heard, "node.started")
    first.signal(signal.SIGSTOP)
    eventually(lambda: not wire.presence(), "its lease has run out")
    run_node("n1", url=own_redis.url, env=SHORT)
    wait_for(heard, "node.started", 2)
    first.signal(signal.SIGCONT)
    assert first.wait() == 1
    [stopped] = wait_for(heard, "node.stopped")
    assert stopped["why"] == "another agent has taken the node over"
    started = wait_for(heard, "node.started", 2)
    assert stopped["incarnation"] == started[0]["incarnation"] != started[1]["incarnation"]


def test_secrets_are_in_no_event_however_a_job_ends(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, heard: Hearing
) -> None:
    """Killed with its agent, settled by the next one or by another node."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    secret = {"name": "sleep", "args": ["60", "SECRET"], "env": {"A": "SECRET"}, "stdin": "SECRET"}
    job = wire.push("core.system", secret)
    wire.wait_stage(job, "running")
    node.kill()
    node.start()
    wait_for(heard, "job.finished")
    again = wire.push("core.system", secret)
    wire.wait_stage(again, "running")
    node.kill()
    run_node("n2", url=own_redis.url, env=SHORT)
    wait_for(heard, "reaped")
    assert "SECRET" not in json.dumps(heard())
