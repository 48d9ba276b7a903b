"""The agent and the processes that start programs for it are killed at the same moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.processes import is_gone
from tests.helpers.wire import Wire


def _kill_all(node: NodeProcess) -> None:
    """Kill the agent and its spawners, none of which lives to see another die."""
    processes = [psutil.Process(node.process.pid), *psutil.Process(node.process.pid).children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for process in processes:
        process.kill()
    node.wait()


def test_the_next_agent_ends_what_is_left(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Processes outlive such an end; when their job is said to be lost, they are gone."""
    node = run_node("n1", url=own_redis.url)
    inner = 'trap "" TERM HUP INT; sleep 300 & wait'
    jobs = [wire.script(f"setsid sh -c '{inner}' & sleep 300") for _ in range(3)]
    eventually(lambda: len(marked_with(jobs)) >= 4 * len(jobs), "all processes of the jobs")
    _kill_all(node)
    assert len(marked_with(jobs)) >= 4 * len(jobs)
    node.start()
    for job in jobs:
        assert wire.result(job)["state"] == "LOST"
    assert marked_with(jobs) == []


def test_jobs_of_another_fleet_are_left_alone(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, tmp_path: Path
) -> None:
    """A node of the same name elsewhere, with a job of the same ID on this machine, is nobody's."""
    node = run_node("n1", url=own_redis.url)
    other = Keys("another-fleet")
    neighbour = NodeProcess("n1", own_redis.url, other.namespace, tmp_path / "neighbour.log")
    neighbour.start()
    theirs = Wire(wire.redis, other, "n1")
    job = "same-id"
    for line in (wire, theirs):
        line.script("sleep 300", id=job)
        line.wait_stage(job, "running")
    eventually(lambda: len(marked_with([job])) >= 2, "both run")
    _kill_all(node)
    node.start()
    assert wire.result(job)["state"] == "LOST"
    assert "state" not in theirs.state(job)
    assert marked_with([job])
    theirs.push("job.kill", {"id": job}, control=True)
    assert theirs.result(job)["state"] == "KILLED"
    neighbour.finish()


def test_a_job_runs_again_when_its_first_run_is_gone(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, tmp_path: Path
) -> None:
    """Two runs of a job that may be retried never overlap."""
    node = run_node("n1", url=own_redis.url)
    lock, again = tmp_path / "lock", tmp_path / "again"
    script = f"exec 9>{lock}; flock -n 9 || exit 9; [ -e {again} ] && exit 0; echo ran; sleep 300"
    job = wire.script(script, on_lost="retry", stream=True)
    eventually(lambda: wire.log(job), "it has the lock")
    again.touch()
    _kill_all(node)
    node.start()
    result = wire.result(job)
    assert (result["state"], result["code"]) == ("SUCCESS", 0)


def test_what_hides_its_mark_is_ended_too_where_there_are_control_groups(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, tmp_path: Path
) -> None:
    """A daemon with an empty environment does not outlive the next agent's start."""
    if not list(Path("/sys/fs/cgroup").glob("**/cgroup.kill")) or os.geteuid() != 0:
        pytest.skip("this system lets nobody have a control group")
    node = run_node("n1", url=own_redis.url)
    told = tmp_path / "pid"
    daemon = f"echo $$ > {told}; exec sleep 300"
    job = wire.script(f"env -i PATH=$PATH setsid sh -c '{daemon}' & sleep 300")
    pid = int(eventually(lambda: told.exists() and told.read_text().strip(), "the daemon's PID"))
    _kill_all(node)
    assert not is_gone(pid)
    node.start()
    assert wire.result(job)["state"] == "LOST"
    assert is_gone(pid)
    eventually(lambda: not _groups(), "no control group of a dead agent is left")


def _groups() -> list[Path]:
    """Control groups of spawners that are gone."""
    return [
        path
        for path in Path("/sys/fs/cgroup").glob("**/corex-*-*")
        if not psutil.pid_exists(int(path.name.split("-")[1]))
    ]
