"""The processes that start programs for the agent are killed."""

from __future__ import annotations

import json
from functools import partial

import psutil

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.processes import is_gone
from tests.helpers.wire import Wire


def _spawners(node: NodeProcess) -> list[psutil.Process]:
    children = psutil.Process(node.process.pid).children()
    return [child for child in children if _is_spawner(child)]


def _is_spawner(process: psutil.Process) -> bool:
    try:
        return "corex_node.process.spawner" in process.cmdline()
    except psutil.Error:
        return False


def _has_ended(wire: Wire, job: str) -> bool:
    return "state" in wire.state(job)


def test_running_jobs_are_errors_and_new_ones_run(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Jobs whose spawner is gone end as ERROR 500; nothing of them survives; others run."""
    node = run_node("n1", url=own_redis.url)
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300' & sleep 300 & wait"
    jobs = [wire.script(script) for _ in range(8)]
    # Each: the script, its sleep, the shell in a session of its own and that one's sleep.
    eventually(lambda: len(marked_with(jobs)) >= 4 * len(jobs), "all processes of the jobs")
    spawners = _spawners(node)
    assert spawners
    for spawner in spawners:
        spawner.kill()
    results = wire.results(jobs)
    assert {(result["state"], result["code"]) for result in results.values()} == {("ERROR", 500)}
    assert {"spawner" in json.loads(result["data"]) for result in results.values()} == {True}
    eventually(lambda: not marked_with(jobs), "nothing of the jobs survives")
    assert all(is_gone(spawner) for spawner in spawners)
    again = wire.results([wire.script("echo out") for _ in range(8)])
    assert {result["streams"][0] for result in again.values()} == {"out\n"}
    assert len(_spawners(node)) == len(spawners)
    wire.wait_unclaimed()


def test_while_many_are_being_started(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """However often spawners die under load, each command has one result and the agent lives."""
    node = run_node("n1", url=own_redis.url, args=["--max-jobs", "30"])
    jobs = [wire.script("sleep 0.05") for _ in range(600)]
    for wave in range(1, 6):
        eventually(partial(_has_ended, wire, jobs[60 * wave]))
        for spawner in _spawners(node):
            spawner.kill()
    results = wire.results(jobs, 30)
    states = {result["state"] for result in results.values()}
    assert "SUCCESS" in states
    assert states <= {"SUCCESS", "ERROR"}
    eventually(lambda: not marked_with(jobs))
    assert node.running
    wire.wait_unclaimed()
