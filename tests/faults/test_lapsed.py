"""The lease of a node runs out while its agent lives: Redis is away, or the agent was stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.connection import execute
from corex_shared.finishing import Finish, finish_call
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Wire

SHORT = {"COREX_NODE_LIMITS_LEASE": "1", "COREX_NODE_LIMITS_HEARTBEAT": "0.3"}
STOP = {**SHORT, "COREX_NODE_WHEN_LAPSED": "stop"}


@pytest.mark.parametrize(
    "env, state, said", [(SHORT, "SUCCESS", ""), (STOP, "KILLED", "lost its lease")]
)
def test_running_jobs_go_on_or_are_stopped_as_the_settings_say(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    diary: Diary,
    env: dict[str, str],
    state: str,
    said: str,
) -> None:
    """Either way each has one result when Redis is back, and the node serves on."""
    node = run_node("n1", url=own_redis.url, env=env)
    job = wire.script(diary.script("sleep 3"))
    eventually(lambda: diary.has(1))
    own_redis.pause()
    eventually(lambda: "lease.lapsed" in node.log_text(), "it notices", seconds=20)
    own_redis.resume()
    result = wire.result(job, 25)
    assert result["state"] == state
    assert said in result["data"]
    assert wire.result(wire.push("core.ping"))["state"] == "SUCCESS"
    assert diary.runs() == {job: 1}
    wire.wait_unclaimed()


def test_an_agent_that_was_stopped_beyond_its_lease_goes_on_when_nobody_took_its_place(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """It takes its lease again, its jobs end well, and what was pushed meanwhile runs once."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    before = wire.script(diary.script("sleep 1"))
    eventually(lambda: diary.has(1))
    _stop_beyond_its_lease(node, wire)
    meanwhile = [wire.script(diary.script()) for _ in range(20)]
    node.signal(signal.SIGCONT)
    results = wire.results([before, *meanwhile])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert set(diary.runs().values()) == {1}
    wire.wait_unclaimed()
    assert node.running


def test_an_agent_that_was_stopped_beyond_its_lease_stops_its_jobs_if_the_settings_say_so(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """It hears of the lapse as it takes the lease again; jobs that come later are not meant."""
    node = run_node("n1", url=own_redis.url, env=STOP)
    job = wire.script(diary.script("sleep 60"))
    eventually(lambda: diary.has(1))
    _stop_beyond_its_lease(node, wire)
    node.signal(signal.SIGCONT)
    result = wire.result(job)
    assert result["state"] == "KILLED"
    assert "lost its lease" in result["data"]
    assert wire.result(wire.script("sleep 0.5"))["state"] == "SUCCESS"
    assert node.running


def test_a_lease_that_redis_has_lost_before_its_time_stops_nothing(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """It is taken again, and the job runs on also where lapsed ones are stopped."""
    node = run_node("n1", url=own_redis.url, env={**STOP, "COREX_NODE_LIMITS_LEASE": "5"})
    job = wire.script(diary.script("sleep 1"))
    eventually(lambda: diary.has(1))
    wire.redis.delete(wire.keys.presence("n1"))
    assert wire.result(job)["state"] == "SUCCESS"
    assert "lease.regained" in node.log_text()


@pytest.mark.parametrize(
    "env, ends", [(SHORT, False), (STOP, True)], ids=["they run on", "they are stopped"]
)
def test_what_others_have_settled_keeps_their_result(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    tmp_path: Path,
    env: dict[str, str],
    ends: bool,
) -> None:
    """The job goes on or is stopped as the settings say; what it says later is refused."""
    node = run_node("n1", url=own_redis.url, env=env)
    told, go = tmp_path / "told", tmp_path / "go"
    script = f"echo 1; until [ -e {go} ]; do sleep 0.05; done; echo 2; echo end > {told}"
    job = wire.script(script, stream=True)
    wire.wait_stage(job, "running")
    _stop_beyond_its_lease(node, wire)
    _settle_as_lost(wire, job)
    node.signal(signal.SIGCONT)
    if not ends:
        eventually(lambda: "job.settled_elsewhere" in node.log_text(), "it hears of it")
        go.touch()
        eventually(told.exists, "the job runs to its end")
    eventually(_has_ended(wire, job), "the job is no more")
    assert told.exists() is not ends
    wire.wait_unclaimed()
    assert wire.result(job)["state"] == "LOST"
    assert wire.log(job)[-1]["message"] == "the last"
    assert node.running


@pytest.mark.parametrize("fields", [{"recurring_period": 1}, {"max_restart": 99}])
@pytest.mark.parametrize("forgotten", [True, False], ids=["forgotten", "claimed still"])
def test_no_further_run_begins_of_what_others_have_settled(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    diary: Diary,
    fields: dict[str, int],
    forgotten: bool,
) -> None:
    """The run under way goes on to its end; it is the last."""
    run_node("n1", url=own_redis.url, env=SHORT)
    job = wire.script(diary.script("sleep 0.5; exit 1"), **fields)
    eventually(lambda: diary.has(1))
    _settle_as_lost(wire, job, forget=forgotten)
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    eventually(_has_ended(wire, job), "the job is no more")
    assert diary.runs() == {job: 1}
    assert wire.result(job)["state"] == "LOST"
    wire.wait_unclaimed()


def _stop_beyond_its_lease(node: NodeProcess, wire: Wire) -> None:
    node.signal(signal.SIGSTOP)
    eventually(lambda: not wire.redis.exists(wire.keys.presence("n1")), "the lease has run out")


def _settle_as_lost(wire: Wire, job: str, *, forget: bool = True) -> None:
    """Do as another agent does that finds the job without a holder."""
    wire.redis.hset(wire.keys.state(job), "holder", "another")
    result = json.dumps(
        {"id": job, "command": "bash", "node": "n1", "state": "LOST", "code": 503}
    ).encode()
    last = {"job": job, "node": "n1", "seq": 2, "level": 1, "flags": 5, "message": "the last"}
    end = Finish(job, result, "LOST", json.dumps({**last, "epoch": 0}).encode(), 2, streams=True)
    finish = finish_call(wire.keys, "n1", "another", 60_000, [end])
    assert execute(wire.redis, [finish]) == [[1]]
    if forget:
        wire.redis.hdel(wire.keys.claimed("n1"), job)


def _has_ended(wire: Wire, job: str) -> Callable[[], bool]:
    def ended() -> bool:
        found = wire.push("job.list", control=True)
        listed = json.loads(wire.result(found)["data"])
        return job not in [entry["cmd"]["id"] for entry in listed]

    return ended
