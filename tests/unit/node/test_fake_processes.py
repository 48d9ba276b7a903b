"""The double of the process table: jobs run, and no process does."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from corex_node.builtins import system
from corex_node.manager.limits import Limits
from corex_node.manager.manager import ProcessManager
from corex_node.manager.registry import Registry
from corex_node.testing import FakeOutside, FakeProcesses
from corex_shared.errors import NotFoundError
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async


@pytest.fixture
def processes() -> FakeProcesses:
    """Processes that do what the test says."""
    return FakeProcesses()


@pytest.fixture
async def manager(processes: FakeProcesses) -> AsyncIterator[ProcessManager]:
    """A manager of fake processes."""
    registry = Registry()
    system.register(registry)
    outside = FakeOutside()
    made = ProcessManager(
        "n1",
        registry,
        Limits(grace=0.01),
        outside,
        outside,
        outside,
        spawners=processes,
    )
    before = set(os.listdir("/proc/self/fd"))
    yield made
    made.stop_all(signal.SIGKILL)
    await eventually_async(lambda: not made.jobs)
    processes.close()
    assert set(os.listdir("/proc/self/fd")) == before
    await made.close()


async def test_it_writes_and_exits_as_told(
    manager: ProcessManager, processes: FakeProcesses
) -> None:
    """Output and exit code of a fake process are the job's."""
    job = manager.system("tool", ["-v"], stdin="fed")
    await eventually_async(lambda: job.pid)
    [process] = processes.running
    assert process.spec.argv == ("tool", "-v")
    assert process.read() == b"fed"
    process.write(b"out\n")
    process.write(b"err\n", stream=2)
    process.exit(3)
    result = await job.wait(5)
    assert (result.state, result.code, result.streams) == (
        JobState.ERROR,
        1003,
        ("out\n", "err\n"),
    )


async def test_a_stubborn_one_needs_kill(manager: ProcessManager, processes: FakeProcesses) -> None:
    """It is sent TERM, then KILL after the grace."""
    job = manager.system("tool")
    await eventually_async(lambda: job.pid)
    [process] = processes.running
    process.stubborn = True
    job.signal()
    assert (await job.wait(5)).state is JobState.KILLED
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]


async def test_none_can_be_started(manager: ProcessManager, processes: FakeProcesses) -> None:
    """A refusal is every job's result."""
    processes.refusal = NotFoundError("tool: no such program")
    result = await manager.system("tool").wait(5)
    assert (result.state, result.code) == (JobState.ERROR, 404)
    assert processes.started == []
