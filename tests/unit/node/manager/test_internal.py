"""What code asks of a manager: start, system, internal; see `test_from_code` too."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.context import Context
from corex_node.manager.limits import Limits
from corex_node.manager.registry import NoArguments, Registry
from corex_node.testing import FakeOutside, FakeProcesses
from corex_shared.errors import (
    BadRequestError,
    ConflictError,
    JobFailed,
)
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench, QuickBench

TOOL = Command("core.system", {"name": "tool"})


async def test_a_started_job_has_its_result_by_its_handle_only(quick: QuickBench) -> None:
    """Nobody outside hears of it: no message, no event, no result."""
    job = quick.manager.start(
        Command("core.system", {"name": "tool"}, max_restart=2, stream=True, log_levels=[1])
    )
    first = await quick.process(job)
    first.write(b"out\n")
    first.exit(1)
    (await quick.next_process(job, first)).exit()
    result = await job.wait(5)
    assert (result.state, result.stdout, result.attempts) == (JobState.SUCCESS, "out\n", 2)
    assert job.result == result
    assert (quick.messages, quick.events, quick.results) == ([], [], {})
    assert (quick.journalled, quick.parked) == ([], [])
    assert quick.manager.jobs == {}


async def test_a_started_job_gets_an_id_and_keeps_its_own(quick: QuickBench) -> None:
    """New ones differ."""
    jobs = [quick.manager.start(TOOL) for _ in range(3)]
    named = quick.manager.start(Command("core.system", {"name": "tool"}, id="svc"))
    assert len({job.id for job in jobs}) == 3
    assert named.id == named.command.id == "svc"
    assert {job.id for job in quick.manager.snapshot()} == {*(job.id for job in jobs), "svc"}


async def test_an_id_in_use_is_a_conflict(quick: QuickBench) -> None:
    """With a job of code as with one of a caller; free again when that has ended."""
    first = quick.manager.start(Command("core.system", {"name": "tool"}, id="x"))
    asked = quick.tool(id="y")
    for name in ("x", "y"):
        with pytest.raises(ConflictError, match=f"^id: {name}"):
            quick.manager.start(Command("core.ping", id=name))
        with pytest.raises(ConflictError, match=f"^id: {name}"):
            quick.manager.system("tool", command_id=name)
    first.stop()
    quick.manager.stop(asked.id)
    for name in ("x", "y"):
        await eventually_async(lambda: name not in quick.manager.jobs)  # noqa: B023
        assert (await quick.manager.start(Command("core.ping", id=name)).wait(5)).ok


async def test_system_has_complete_output(bench: Bench) -> None:
    """More than a result of a caller holds; with arguments, input, environment and directory."""
    job = bench.manager.system(
        "sh",
        ["-c", 'cat; pwd; echo "$A"; seq 1 100000; seq 1 100000 >&2'],
        stdin="fed\n",
        dir="/",
        env={"A": "b"},
    )
    result = await job.wait(20)
    whole = "".join(f"{number}\n" for number in range(1, 100_001))
    assert len(whole) > 4 * bench.manager.limits.kept_output
    assert result.stdout == "fed\n/\nb\n" + whole
    assert result.stderr == whole
    assert (result.truncated, result.stderr_bytes) == (False, len(whole))


async def test_system_with_a_wrong_argument_has_an_error_for_a_result(quick: QuickBench) -> None:
    """As a caller would."""
    result = await quick.manager.system("tool", flavour="sweet").wait(5)
    assert (result.state, result.code) == (JobState.ERROR, 400)
    assert result.data.startswith('"flavour: ')


async def test_internal_answers_what_the_built_in_does(quick: QuickBench) -> None:
    """Decoded."""
    job = quick.tool()
    assert str(await quick.manager.internal("core.ping")).startswith("PONG")
    [entry] = await quick.manager.internal("job.list", {"id": job.id})
    assert entry["cmd"]["id"] == job.id


async def test_internal_raises_what_the_built_in_does(quick: QuickBench) -> None:
    """With its result."""
    with pytest.raises(JobFailed) as caught:
        await quick.manager.internal("job.list", {"id": "none"})
    assert caught.value.result.code == 404
    with pytest.raises(JobFailed) as caught:
        await quick.manager.internal("job.list", {"ids": "none"})
    assert caught.value.result.code == 400


async def test_internal_runs_no_program(quick: QuickBench) -> None:
    """It answers nothing; that is told before anything is started."""
    with pytest.raises(BadRequestError, match=r"^name: core\.system"):
        await quick.manager.internal("core.system", {"name": "tool"})
    assert quick.processes.started == []


@pytest.mark.parametrize("quick", [Limits(max_jobs=1)], indirect=True)
async def test_internal_needs_no_slot(quick: QuickBench) -> None:
    """A built-in that holds the last slot may call another."""

    @quick.manager.registry.command("outer")
    async def outer(context: Context) -> object:
        return await context.manager.internal("inner", {"number": 7})

    @quick.manager.registry.command("inner")
    async def inner(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    job = quick.push("outer")
    assert quick.manager.capacity() == 0
    assert (await quick.result(job, 5)).data == "8"


async def test_internal_ends_with_whoever_waits_for_it(quick: QuickBench) -> None:
    """A built-in that is killed leaves none running that it called."""
    ended: list[bool] = []

    @quick.manager.registry.command("inner")
    async def inner(_: NoArguments) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    @quick.manager.registry.command("outer")
    async def outer(context: Context) -> None:
        await context.manager.internal("inner")

    job = quick.push("outer")
    await eventually_async(lambda: len(quick.manager.jobs) == 2)
    quick.manager.kill(job.id)
    assert (await quick.result(job)).state is JobState.KILLED
    await eventually_async(lambda: not quick.manager.jobs)
    assert ended == [True]


def test_managers_of_several_loops_and_threads() -> None:
    """Each belongs to the loop that it was made in."""

    async def run() -> JobResult:
        outside, processes = FakeOutside(), FakeProcesses()
        from corex_node.manager.manager import ProcessManager

        manager = ProcessManager(
            "n1",
            standard_registry(),
            Limits(),
            outside,
            outside,
            outside,
            spawners=processes,
        )
        job = manager.system("tool", command_id="same")
        await eventually_async(lambda: processes.running)
        processes.running[0].write(b"out\n")
        processes.running[0].exit()
        result = await job.wait(5)
        processes.close()
        await manager.close()
        return result

    results: list[JobResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(run()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [result.stdout for result in results] == ["out\n"] * 4


def test_the_registry_of_a_manager_is_its_own() -> None:
    """What is registered for one is not known to another."""
    first, second = standard_registry(), Registry()
    first.command("mine")(lambda _: None)
    assert "mine" in first
    assert "mine" not in standard_registry()
    assert second.names() == []


async def test_a_command_that_is_inline_has_its_time_too(quick: QuickBench) -> None:
    """A slow one is slow by itself; its time is in its result."""

    @quick.manager.registry.command("slow", inline=True)
    def slow(_: NoArguments) -> int:
        time.sleep(0.02)
        return os.getpid()

    result = await quick.manager.start(Command("slow", max_time=0.001)).wait(5)
    assert (result.state, json.loads(result.data)) == (JobState.SUCCESS, os.getpid())
    assert result.time >= 20
