"""The control groups that spawners make: none outlives its use, and none is taken for another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Wire

_ROOT = Path("/sys/fs/cgroup")


def _spawners(node: NodeProcess) -> list[psutil.Process]:
    children = psutil.Process(node.process.pid).children()
    return [child for child in children if "corex_node.process.spawner" in child.cmdline()]


def _group(process: psutil.Process) -> Path:
    """Find the group that a process is in; skip the test where spawners have none."""
    lines = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
    for line in lines:
        name = line.removeprefix("0::").lstrip("/")
        if line.startswith("0::") and Path(name).name.startswith("corex-"):
            for mount in (_ROOT, _ROOT / "unified"):
                if (mount / name).is_dir():
                    return mount / name
    pytest.skip("spawners have no control groups here")


def _groups(node: NodeProcess) -> list[Path]:
    def joined() -> bool:
        return all("corex-" in Path(f"/proc/{one.pid}/cgroup").read_text() for one in spawners)

    spawners = eventually(lambda: _spawners(node), "spawners")
    try:
        eventually(joined, seconds=6)
    except AssertionError:
        pytest.skip("spawners have no control groups here")
    return [_group(spawner) for spawner in spawners]


def test_none_is_left_by_an_agent_that_stops_or_is_killed(
    own_redis: EmbeddedRedis, run_node: RunNode
) -> None:
    """Spawners remove their own groups, whichever way their agent ended."""
    node = run_node("n1", url=own_redis.url)
    groups = _groups(node)
    node.stop()
    assert not any(group.exists() for group in groups)
    node.start()
    groups = _groups(node)
    node.kill()
    eventually(lambda: not any(group.exists() for group in groups), "the groups are removed")


def test_those_of_an_idle_agent_that_was_killed_with_its_spawners(
    own_redis: EmbeddedRedis, run_node: RunNode
) -> None:
    """The next start removes them, though no job was running."""
    node = run_node("n1", url=own_redis.url)
    groups = _groups(node)
    processes = [psutil.Process(node.process.pid), *_spawners(node)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    for process in processes:
        process.kill()
    node.wait()
    assert all(group.exists() for group in groups)
    node.start()
    eventually(lambda: not any(group.exists() for group in groups), "the groups are removed")


def test_no_zombie_stays_with_the_agent_when_a_spawner_is_killed(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """What a spawner leaves becomes the agent's, which ends and reaps all of it, marked or not."""
    node = run_node("n1", url=own_redis.url)
    agent = psutil.Process(node.process.pid)
    groups = _groups(node)
    jobs = [wire.script("setsid sleep 300 & env -i setsid sleep 300 & sleep 300") for _ in range(4)]
    eventually(lambda: len(marked_with(jobs)) >= 3 * len(jobs), "all processes of the jobs")
    for spawner in _spawners(node):
        spawner.kill()
    wire.results(jobs)

    def only_spawners() -> bool:
        try:
            return {child.pid for child in agent.children()} == {one.pid for one in _spawners(node)}
        except psutil.Error:  # one has ended while it was looked at
            return False

    eventually(only_spawners, "nothing of the jobs is left with the agent")
    assert not any(group.exists() for group in groups)


def test_an_agent_in_a_job_of_another_does_it_no_harm(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Not even where it cannot see the other's processes; and it ends with its job."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace can be had here")
    node = run_node("n1", url=own_redis.url)
    groups = _groups(node)
    inner = ["corex", "node", "run", "--id", "n2", "--url", own_redis.url]
    environment = {"COREX_NODE_NAMESPACE": node.namespace, "PATH": _path()}
    job = wire.push(
        "core.system",
        {"name": unshare[0], "args": [*unshare[1:], *inner], "env": environment},
    )
    eventually(lambda: wire.presence("n2"), "the inner agent's heartbeat")
    within = eventually(lambda: [path for group in groups for path in group.glob("corex-*")])
    theirs = wire.push("bash", {"script": "echo inner; sleep 300"}, node="n2")
    wire.wait_stage(theirs, "running")
    assert len(_spawners(node)) == len(groups)
    assert wire.result(wire.script("echo outer"))["streams"][0] == "outer\n"
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    assert (wire.result(job)["state"], wire.result(job)["survivors"]) == ("KILLED", 0)
    eventually(lambda: not marked_with([theirs]), "the inner agent's job is gone")
    node.stop()
    assert not any(path.exists() for path in (*within, *groups))


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
