"""The end of all jobs at once, and of many; see `test_shutdown` for exceptions."""

from __future__ import annotations

import asyncio

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.flags import JobFlags
from corex_node.manager.handle import JobHandle
from corex_node.manager.jobs import Job
from corex_node.manager.limits import Limits
from corex_node.manager.registry import NoArguments
from corex_node.manager.restarts import Backoff
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench, QuickBench

SHIELDED = JobFlags(protected=True)


def _service(quick: QuickBench, name: str, **fields: object) -> JobHandle:
    command = Command("core.system", {"name": "svc"}, id=name, **fields)  # type: ignore[arg-type]
    return quick.manager.start(command, flags=SHIELDED)


@pytest.mark.parametrize("quick", [Limits(max_jobs=5, grace=0.01)], indirect=True)
async def test_a_shutdown_stops_everything(quick: QuickBench) -> None:
    """What runs, is queued, waits for a slot or its next run, and what is protected."""

    @quick.manager.registry.command("waits")
    async def waits(_: NoArguments) -> None:
        await asyncio.Event().wait()

    recurring = quick.tool(recurring_period=60)
    (await quick.process(recurring)).exit()
    await eventually_async(lambda: recurring.stage is Stage.WAITING)
    service = _service(quick, "svc")
    jobs = [recurring, quick.tool(queue="q"), quick.tool(queue="q"), quick.push("waits")]
    jobs += [quick.tool() for _ in range(5)]
    stages = [job.stage for job in jobs]
    assert stages.count(Stage.WAITING) == 5
    await asyncio.wait_for(quick.manager.shutdown(), 5)
    assert quick.manager.jobs == {}
    assert {quick.results[job.id].state for job in jobs} == {JobState.KILLED}
    assert service.result is not None
    assert service.result.state is JobState.KILLED
    assert (quick.manager.running, quick.manager.waiting) == (0, 0)
    assert quick.processes.running == []


async def test_a_rank_waits_for_all_of_the_one_before(quick: QuickBench) -> None:
    """Each waits for the one before, then everything else ends; exceptions are in no rank."""
    for name in ("web", "api", "db", "log", "other", "kept"):
        _service(quick, name, grace=60)
    processes = {name: await quick.process(quick.manager.job(name)) for name in quick.manager.jobs}
    for process in processes.values():
        process.stubborn = True
    ranks = [["web", "api", "never-seen"], ["kept", "db"], ["log"]]
    ending = asyncio.create_task(quick.manager.shutdown(["kept"], ranks))

    def stopped() -> set[str]:
        return {name for name, process in processes.items() if process.signals}

    await eventually_async(lambda: stopped() == {"web", "api"})
    processes["web"].exit()
    await eventually_async(lambda: "web" not in quick.manager.jobs)
    await asyncio.sleep(0.02)
    assert stopped() == {"web", "api"}
    processes["api"].exit()
    await eventually_async(lambda: stopped() == {"web", "api", "db"})
    processes["db"].exit()
    await eventually_async(lambda: stopped() == {"web", "api", "db", "log"})
    assert not ending.done()
    processes["log"].exit()
    await eventually_async(lambda: stopped() == {"web", "api", "db", "log", "other"})
    processes["other"].exit()
    await asyncio.wait_for(ending, 5)
    assert list(quick.manager.jobs) == ["kept"]
    processes["kept"].stubborn = False


async def test_a_rank_does_not_wait_for_another_job_of_the_same_id() -> None:
    """One that is started as soon as the ID is free ends with the rest."""
    again: list[JobHandle] = []

    class Again(QuickBench):
        def finished(self, job: Job, result: JobResult) -> None:
            super().finished(job, result)
            again.append(_service(self, "svc"))

    quick = Again(standard_registry(), Limits(grace=0.01))
    quick.start()
    quick.tool(id="svc")
    await asyncio.wait_for(quick.manager.shutdown([], [["svc"]]), 5)
    assert [job.result is not None for job in again] == [True]
    await quick.close()


async def test_a_shutdown_of_real_processes_leaves_none(bench: Bench) -> None:
    """Thirty that would run for long, some of them deaf."""
    scripts = ["sleep 30", "trap '' TERM; sleep 30"] * 15
    jobs = [bench.script(script, grace=0.2) for script in scripts]
    await eventually_async(lambda: all(job.pid for job in jobs))
    await asyncio.wait_for(bench.manager.shutdown(), 10)
    assert {bench.results[job.id].state for job in jobs} == {JobState.KILLED}


async def test_a_shutdown_of_nothing_is_done_at_once(quick: QuickBench) -> None:
    """There is nobody to wait for."""
    await asyncio.wait_for(quick.manager.shutdown(["x"], [["a"], ["b"]]), 1)


# -- killing all ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quick", [Limits(protected=Backoff(first=0.005, jitter=0), grace=0.01)], indirect=True
)
async def test_killall_leaves_who_asks_and_protected_ones_are_started_again(
    quick: QuickBench,
) -> None:
    """Everything else ends, whether it runs or waits."""
    service = _service(quick, "svc")
    process = await quick.process(service)
    recurring = quick.tool(recurring_period=60)
    (await quick.process(recurring)).exit()
    await eventually_async(lambda: recurring.stage is Stage.WAITING)
    jobs = [recurring, *(quick.tool(queue="q") for _ in range(3))]
    asked = await quick.result(quick.push("job.killall", control=True))
    assert (asked.state, asked.data) == (JobState.SUCCESS, "true")
    results = await quick.all_results(jobs)
    assert {result.state for result in results} == {JobState.KILLED}
    await quick.next_process(service, process)
    assert list(quick.manager.jobs) == ["svc"]


async def test_killall_takes_no_arguments(quick: QuickBench) -> None:
    """A wrong one is told, and nobody is killed."""
    job = quick.tool()
    result = await quick.result(quick.push("job.killall", {"id": "x"}))
    assert (result.code, result.data) == (400, '"id: the arguments contain unknown field `id`"')
    await quick.process(job)
