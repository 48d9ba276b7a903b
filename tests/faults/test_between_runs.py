"""The agent ends, one way or another, while a job waits for its next run: nothing of it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Wire

DRAIN = {"COREX_NODE_LIMITS_DRAIN": "30"}


def _claimed_as(wire: Wire, job: str, stage: str) -> bool:
    return wire.claimed().get(job.encode(), b"").startswith(stage.encode())


def _has_run(wire: Wire, job: str, count: str) -> bool:
    return bool(wire.state(job).get("runs") == count)


def _stop(node: NodeProcess) -> None:
    assert node.stop() == 0


@pytest.mark.parametrize("leave", [NodeProcess.kill, _stop], ids=["killed", "stopped"])
def test_a_recurring_job_goes_on_with_the_next_agent(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    tmp_path: Path,
    leave: Callable[[NodeProcess], None],
) -> None:
    """It is neither lost nor killed; its messages are numbered on, and it has no result yet."""
    node = run_node("n1", url=own_redis.url, env=DRAIN)
    runs = tmp_path / "runs"
    job = wire.script(f"echo run; echo x >> {runs}", recurring_period=2, stream=True)
    eventually(lambda: _claimed_as(wire, job, "waiting"), "it waits for its next run")
    before = len(runs.read_text().split())
    begun = time.monotonic()
    leave(node)
    assert time.monotonic() - begun < 20  # there was nothing to wait for
    assert "state" not in wire.state(job)
    node.start()
    eventually(lambda: len(runs.read_text().split()) > before, "another run", seconds=15)
    assert _claimed_as(wire, job, "")
    assert "state" not in wire.state(job)
    wire.push("job.kill", {"id": job}, control=True)
    assert wire.result(job)["state"] == "KILLED"
    assert [m["seq"] for m in wire.log(job)] == list(range(len(wire.log(job))))


def test_a_job_that_waits_for_a_restart_ends_with_its_last_outcome(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """When its agent is stopped: that is no kill, and takes no time."""
    env = {**DRAIN, "COREX_NODE_LIMITS_RESTART_FIRST": "30"}
    node = run_node("n1", url=own_redis.url, env=env)
    job = wire.script("exit 7", max_restart=5)
    eventually(lambda: _claimed_as(wire, job, "waiting"), "it waits for its next run")
    begun = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - begun < 20
    result = wire.result(job)
    assert (result["state"], result["code"], result["attempts"]) == ("ERROR", 1007, 1)


def test_the_next_agent_counts_on(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, tmp_path: Path
) -> None:
    """A job runs as often as it says, whoever it is that runs it."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_LIMITS_RESTART_FIRST": "2"})
    runs = tmp_path / "runs"
    job = wire.script(f"echo x >> {runs}; exit 7", max_restart=3)
    for count in ("1", "2"):
        eventually(lambda: _claimed_as(wire, job, "waiting"), "it waits for its next run")
        eventually(partial(_has_run, wire, job, count), "that is noted")
        node.kill()
        node.start()
    result = wire.result(job)
    assert (result["state"], result["attempts"]) == ("ERROR", 3)
    assert len(runs.read_text().split()) == 3


def test_a_stopping_agent_leaves_what_waits_for_its_next_one(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Also when connections break meanwhile: it is not taken up, and killed, once more."""
    node = run_node("n1", url=own_redis.url)
    job = wire.script("true", recurring_period=60)
    eventually(lambda: _claimed_as(wire, job, "waiting"), "it waits for its next run")
    running = wire.script("sleep 2; echo done")
    wire.wait_stage(running, "running")
    node.process.terminate()
    eventually(lambda: "node.stopping" in node.log_text())
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    assert wire.result(running)["streams"][0] == "done\n"
    assert node.wait() == 0
    assert _claimed_as(wire, job, "waiting")
    assert "state" not in wire.state(job)
