"""`process.list` and `process.kill` over the wire, against what others say."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Pairs, Wire

NOBODY = 65534
NOT_THERE = 2**22 + 1  # above what the kernel gives out


def _result(wire: Wire, command: str, arguments: dict[str, Any] | None = None) -> Pairs:
    return wire.result(wire.push(command, arguments, control=True))


def _list(wire: Wire, **arguments: Any) -> list[dict[str, Any]]:
    result = _result(wire, "process.list", arguments)
    assert (result["state"], result["level"]) == ("SUCCESS", 20), result
    found = json.loads(result["data"])
    assert isinstance(found, list)
    return found


def _kill(wire: Wire, pid: int, **arguments: Any) -> None:
    result = _result(wire, "process.kill", {"pid": pid, **arguments})
    assert (result["state"], result["level"]) == ("SUCCESS", 20), result
    assert result["data"] == "null"


def _refused(wire: Wire, code: int, name: str, command: str, **arguments: Any) -> None:
    result = _result(wire, command, arguments)
    assert (result["state"], result["code"]) == ("ERROR", code), (arguments, result)
    assert json.loads(result["data"]).startswith(f"{name}: "), result["data"]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not the agent's."""
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


# -- list ---------------------------------------------------------------------------------------


def test_one_process_is_told_as_others_tell_it(
    wire: Wire, stranger: subprocess.Popen[bytes]
) -> None:
    """With where it comes from, what it uses, and what it may use."""
    resource.prlimit(stranger.pid, resource.RLIMIT_NOFILE, (100, 200))
    other = psutil.Process(stranger.pid)
    eventually(lambda: other.name() == "sleep", "the program is loaded")
    (process,) = _list(wire, pid=stranger.pid)
    assert process["pid"] == stranger.pid
    assert process["ppid"] == os.getpid()
    assert process["name"] == "sleep"
    assert process["cmdline"] == "sleep 60"
    assert process["createtime"] == pytest.approx(other.create_time() * 1000, abs=20)
    assert (process["rss"], process["vms"]) == pytest.approx(other.memory_info()[:2], rel=0.2)
    assert process["swap"] == other.memory_full_info().swap
    assert process["ofd"] == other.num_fds()
    limits = {one["resource"]: (one["soft"], one["hard"]) for one in process["rlimit"]}
    assert limits[resource.RLIMIT_NOFILE] == (100, 200)
    for number, pair in limits.items():
        assert pair == resource.prlimit(stranger.pid, number)


def test_processor_time_is_in_seconds(wire: Wire) -> None:
    """Of this process, which has used some."""
    before = psutil.Process().cpu_times()
    (process,) = _list(wire, pid=os.getpid())
    after = psutil.Process().cpu_times()
    assert before.user - 0.05 <= process["cpu"]["user"] <= after.user + 0.05
    assert before.system - 0.05 <= process["cpu"]["system"] <= after.system + 0.05
    assert set(process["cpu"]) == {
        *("guestnice", "idle", "iowait", "irq", "nice", "softirq", "steal", "stolen"),
        *("system", "user"),
    }


def test_all_processes_are_listed_once(wire: Wire, stranger: subprocess.Popen[bytes]) -> None:
    """The agent and whoever is no child of it; without an argument, with null, with 0."""
    agent = int(wire.presence()["pid"])
    for arguments in ({}, {"pid": None}, {"pid": 0}):
        pids = [process["pid"] for process in _list(wire, **arguments)]
        assert {1, agent, os.getpid(), stranger.pid} <= set(pids)
        assert len(pids) == len(set(pids))


def test_what_is_no_process_is_an_empty_list(wire: Wire) -> None:
    """One that is gone, one that cannot be, a thread."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        for pid in (gone.pid, NOT_THERE, 2**63, thread.native_id):
            assert _list(wire, pid=pid) == []
    finally:
        release.set()
        thread.join()


def test_a_command_line_may_hold_anything(wire: Wire) -> None:
    """What is no text is told as far as it is."""
    argv = [b"\xff) S 1 (", b"60"]
    with subprocess.Popen(argv, executable=shutil.which("sleep")) as process:
        try:
            eventually(lambda: psutil.Process(process.pid).name() == "sleep", "it is loaded")
            (listed,) = _list(wire, pid=process.pid)
        finally:
            process.kill()
    assert listed["cmdline"] == "\ufffd) S 1 ( 60"
    assert listed["ppid"] == os.getpid()


def test_wrong_arguments_of_a_list(wire: Wire) -> None:
    """They are bad requests that name them."""
    for pid in (-1, "1", 1.5, True):
        _refused(wire, 400, "pid", "process.list", pid=pid)
    _refused(wire, 400, "id", "process.list", id=1)


# -- kill ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, received",
    [
        ({}, signal.SIGTERM),
        ({"signal": None}, signal.SIGTERM),
        ({"signal": 0}, signal.SIGTERM),
        ({"signal": 10}, signal.SIGUSR1),
        ({"signal": 64}, signal.SIGRTMAX),
    ],
)
def test_a_stranger_gets_the_signal(
    wire: Wire,
    stranger: subprocess.Popen[bytes],
    arguments: dict[str, Any],
    received: signal.Signals,
) -> None:
    """SIGTERM unless another is asked for."""
    _kill(wire, stranger.pid, **arguments)
    assert stranger.wait(10) == -received


def test_a_job_is_a_process_too(wire: Wire) -> None:
    """Its result tells the signal."""
    job = wire.push("core.system", {"name": "sleep", "args": ["60"]})

    def pid() -> int:
        entries = json.loads(_result(wire, "job.list", {"id": job})["data"])
        return int(entries[0]["pid"])

    _kill(wire, eventually(pid, "its program runs"), signal=9)
    result = wire.result(job)
    assert (result["state"], result["signal"]) == ("ERROR", 9)


def test_what_is_no_process_cannot_be_killed(wire: Wire) -> None:
    """Not found: one that is gone, one that cannot be, a thread."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        for pid in (gone.pid, NOT_THERE, 2**31, 2**63, thread.native_id):
            _refused(wire, 404, "pid", "process.kill", pid=pid)
    finally:
        release.set()
        thread.join()


def test_wrong_arguments_of_a_kill(wire: Wire, stranger: subprocess.Popen[bytes]) -> None:
    """They are bad requests that name them: groups and the first process among them."""
    for pid in (1, 0, -1, -stranger.pid, "1", None):
        _refused(wire, 400, "pid", "process.kill", pid=pid, signal=9)
    for number in (-1, 65, "TERM", 2**70):
        _refused(wire, 400, "signal", "process.kill", pid=stranger.pid, signal=number)
    _refused(wire, 400, "pid", "process.kill", signal=9)
    _refused(wire, 400, "force", "process.kill", pid=stranger.pid, force=True)
    assert stranger.poll() is None


def test_the_agent_and_its_spawners_are_not_killed(wire: Wire, shared_node: NodeProcess) -> None:
    """Not even by a signal that would do no harm."""
    agent = shared_node.process.pid
    spawners = [child.pid for child in psutil.Process(agent).children()]
    assert spawners
    for pid in (agent, *spawners):
        for number in (9, 18):
            _refused(wire, 403, "pid", "process.kill", pid=pid, signal=number)
    assert all(psutil.pid_exists(pid) for pid in (agent, *spawners))


def test_an_agent_without_the_right_to(run_node: RunNode, raw: redis.Redis, keys: Keys) -> None:
    """Forbidden, as the system says; what it may not see is empty in the list."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("it takes root, which gives abilities away")
    lost = "--bounding-set=-kill,-sys_ptrace,-dac_override,-dac_read_search"
    run_node("n1", prefix=["setpriv", lost])
    wire = Wire(raw, keys, "n1")
    with subprocess.Popen(["sleep", "60"], user=NOBODY) as process:
        try:
            _refused(wire, 403, "pid", "process.kill", pid=process.pid)
            assert process.poll() is None
            (listed,) = _list(wire, pid=process.pid)
            assert (listed["pid"], listed["ofd"], listed["name"]) == (process.pid, 0, "sleep")
        finally:
            process.kill()
