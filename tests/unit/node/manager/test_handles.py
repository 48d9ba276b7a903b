"""Handles of jobs."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from corex_node.process.usage import Usage
from corex_shared.errors import (
    NotFoundError,
    WaitTimeout,
)
from corex_shared.models import Command
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench, QuickBench

TOOL = Command("core.system", {"name": "tool"})


async def test_a_wait_is_bounded(quick: QuickBench) -> None:
    """It says what it waited for; the job goes on, and others wait on."""
    job = quick.manager.start(TOOL)
    waits = asyncio.create_task(job.wait(5))
    for timeout in (0, 0.02):
        with pytest.raises(WaitTimeout, match=job.id):
            await job.wait(timeout)
    cancelled = asyncio.create_task(job.wait())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert job.stage is Stage.RUNNING
    (await quick.process(job)).exit(3)
    assert (await waits).code == 1003
    assert (await job.wait(0)).code == 1003


async def test_many_may_wait_for_one_job(quick: QuickBench) -> None:
    """All have the same result."""
    job = quick.manager.start(TOOL)
    waits = [asyncio.create_task(job.wait(5)) for _ in range(50)]
    (await quick.process(job)).exit()
    assert {id(result) for result in await asyncio.gather(*waits)} == {id(job.result)}


async def test_a_callers_job_can_be_waited_for_too(quick: QuickBench) -> None:
    """Its result goes to the caller as well."""
    asked = quick.tool()
    handle = quick.manager.job(asked.id)
    (await quick.process(asked)).exit()
    assert await handle.wait(5) == quick.results[asked.id]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_job_that_is_given_back_has_no_end_to_wait_for(
    quick: QuickBench, before: bool
) -> None:
    """Who waits is told so."""
    job = quick.place("core.ping")
    handle = quick.manager.job(job.id)
    waits = asyncio.create_task(handle.wait(5)) if before else None
    await asyncio.sleep(0)
    quick.manager.withdraw(job)
    with pytest.raises(NotFoundError, match="given back"):
        await (waits or handle.wait(5))


async def test_what_a_handle_tells(bench: Bench) -> None:
    """Command, stage, attempts, process, start and end."""
    begun = bench.now_ms()
    command = Command("bash", {"script": "echo $$; sleep 30"}, queue="q")
    job, queued = bench.manager.start(command), bench.manager.start(command)
    assert (queued.stage, queued.pid, queued.process, queued.start_time) == (
        Stage.WAITING,
        0,
        None,
        0,
    )
    await eventually_async(lambda: job.pid)
    assert psutil.Process(job.pid).cmdline()[:2] == ["sh", "-c"]
    assert (job.stage, job.attempts, job.result) == (Stage.RUNNING, 1, None)
    assert begun <= job.start_time <= bench.now_ms()
    assert job.command.arguments == command.arguments
    assert "running" in repr(job)
    queued.stop()
    job.stop()
    result = await job.wait(5)
    assert (job.stage, job.pid, job.process) == (Stage.FINISHED, 0, None)
    assert job.start_time == result.starttime


async def test_usage_is_that_of_the_whole_job(bench: Bench) -> None:
    """Children too; nothing when it does not run."""
    code = "import time; x = bytearray(50_000_000); print(1, flush=True); time.sleep(30)"
    script = f"python3 -c '{code}'; true"
    job = bench.manager.start(Command("bash", {"script": script}))
    await eventually_async(lambda: bench.manager.jobs[job.id].stdout, "it has its memory")
    usage = await job.usage()
    assert usage.rss > 50_000_000
    job.signal(9)
    await job.wait(5)
    assert await job.usage() == Usage()


@pytest.mark.parametrize("name", ["signal", "stop", "unschedule"])
async def test_a_handle_of_a_job_that_has_ended_touches_no_other(
    quick: QuickBench, name: str
) -> None:
    """A later job may bear the same ID."""
    command = Command("core.system", {"name": "tool"}, id="x", recurring_period=60)
    old = quick.manager.start(command)
    old.stop()
    await old.wait(5)
    new = quick.manager.start(command)
    process = await quick.process(new)
    assert getattr(old, name)() is False
    await asyncio.sleep(0.02)
    assert process.signals == []
    process.exit()
    await eventually_async(lambda: new.stage is Stage.WAITING, "it is to run again")


async def test_a_handle_sends_signals(quick: QuickBench) -> None:
    """To the attempt that runs; False when the job has ended."""
    job = quick.manager.start(TOOL)
    process = await quick.process(job)
    assert job.signal(10) is True
    assert job.signal(12) is True
    await eventually_async(lambda: process.signals == [10, 12])
    assert job.signal() is True
    assert (await job.wait(5)).state is JobState.KILLED
    assert job.signal() is False
