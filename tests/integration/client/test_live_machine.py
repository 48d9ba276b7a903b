"""`node.processes` and `node.info` with a real agent, which runs on the machine of the test."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from corex import AsyncNode, JobFailed, Node
from corex_shared.version import __version__
from tests.helpers.nodes import NodeProcess


def _code(call: Callable[[], object]) -> int:
    with pytest.raises(JobFailed) as caught:
        call()
    return caught.value.result.code


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of the agent's."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_all_processes_are_listed(node: Node, stranger: subprocess.Popen[bytes]) -> None:
    listed = {entry.pid: entry for entry in node.processes.list()}
    assert {os.getpid(), stranger.pid} <= set(listed)
    assert listed[stranger.pid].cmdline == "sleep 60"


def test_one_process_is_described(node: Node, stranger: subprocess.Popen[bytes]) -> None:
    (entry,) = node.processes.list(stranger.pid)
    known = psutil.Process(stranger.pid)
    assert (entry.pid, entry.ppid, entry.name) == (stranger.pid, os.getpid(), "sleep")
    assert abs(entry.createtime - known.create_time() * 1000) < 2000
    assert entry.vms == known.memory_info().vms
    assert entry.rss > 0
    assert entry.cpu.user >= 0
    assert {limit.resource for limit in entry.rlimit} >= {0, 7}
    assert entry.ofd >= 3


def test_a_process_is_killed_and_then_gone(node: Node, stranger: subprocess.Popen[bytes]) -> None:
    node.processes.kill(stranger.pid, 9)
    assert stranger.wait(10) == -9
    assert node.processes.list(stranger.pid) == []
    assert _code(lambda: node.processes.kill(stranger.pid)) == 404


def test_what_may_not_be_killed(node: Node, live_agent: NodeProcess) -> None:
    assert _code(lambda: node.processes.kill(1)) == 400
    assert _code(lambda: node.processes.kill(live_agent.process.pid)) == 403
    assert _code(lambda: node.processes.kill(os.getpid(), 99)) == 400


def test_the_processors_and_the_memory(node: Node) -> None:
    processors = node.info.cpu()
    assert len(processors) == psutil.cpu_count()
    assert [processor.cpu for processor in processors] == sorted(p.cpu for p in processors)
    memory = node.info.mem()
    assert memory.total == psutil.virtual_memory().total
    assert 0 < memory.available <= memory.total
    assert 0 < memory.used_percent < 100


def test_the_disks_and_the_network(node: Node) -> None:
    assert all(disk.device and disk.mountpoint.startswith("/") for disk in node.info.disk())
    (loopback,) = [nic for nic in node.info.nic() if "loopback" in nic.flags]
    assert "127.0.0.1/8" in [address.addr for address in loopback.addrs]


def test_the_system_and_the_version(node: Node) -> None:
    system = node.info.os()
    assert (system.os, system.hostname) == ("linux", socket.gethostname())
    assert system.kernel_version == platform.release()
    assert abs(system.boot_time - psutil.boot_time()) < 5
    assert system.procs > 1
    assert node.info.version().version == __version__


def test_who_listens(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = [entry for entry in node.info.port() if entry.port == port]
    assert (found.network, found.ip, found.pid) == ("tcp", "127.0.0.1", os.getpid())


async def test_the_coroutines_do_the_same(anode: AsyncNode) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        assert [entry.pid for entry in await anode.processes.list(stranger.pid)] == [stranger.pid]
        await anode.processes.kill(stranger.pid, 9)
        assert stranger.wait(10) == -9
    assert len(await anode.info.cpu()) == psutil.cpu_count()
    assert (await anode.info.mem()).total == psutil.virtual_memory().total
    assert (await anode.info.os()).os == "linux"
    assert (await anode.info.version()).version == __version__
    assert await anode.info.nic()
    assert isinstance(await anode.info.disk(), list)
    assert isinstance(await anode.info.port(), list)
