"""Slots and queues: how many run at once, and in which order."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from corex_node.manager.jobs import Job
from corex_node.manager.limits import Limits
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import QUICK, Bench, QuickBench

TWENTY = pytest.mark.parametrize("bench", [Limits(max_jobs=20)], indirect=True)
ONE = pytest.mark.parametrize("bench", [Limits(max_jobs=1)], indirect=True)


@TWENTY
async def test_three_hundred_jobs_and_twenty_slots(bench: Bench) -> None:
    """All of them end, and never more than twenty run."""
    jobs = []
    most = 0
    for _ in range(300):
        jobs.append(bench.script("echo out"))
        most = max(most, bench.manager.running)
    assert bench.manager.capacity() == 0
    results = await bench.all_results(jobs)
    assert {result.state for result in results} == {JobState.SUCCESS}
    assert {result.stdout for result in results} == {"out\n"}
    assert most == 20
    overlapping = [(result.starttime, result.starttime + result.time) for result in results]
    for start, _ in overlapping:
        # Of a millisecond each: one that ended in it may count twice.
        assert sum(one < start < other for one, other in overlapping) <= 20
    assert (bench.manager.running, bench.manager.waiting) == (0, 0)
    assert bench.manager.capacity() == 20


@TWENTY
async def test_as_their_own_traces_show_it_never_more_than_twenty_run(bench: Bench) -> None:
    """Three hundred of many queues and of none, in one go: all end, each queue in its order."""
    chance = random.Random(1)
    names = [None, None, *(f"q{number}" for number in range(30))]
    script = "date +%s%N; sleep 0.0{}; date +%s%N"
    jobs = [
        bench.script(script.format(chance.randrange(10, 40)), queue=chance.choice(names))
        for _ in range(300)
    ]
    results = await bench.all_results(jobs)
    assert {result.state for result in results} == {JobState.SUCCESS}
    spans = [tuple(int(text) for text in result.stdout.split()) for result in results]
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    running = list(itertools.accumulate(step for _, step in edges))
    assert 10 < max(running) <= 20
    for name in names[2:]:
        of_queue = [
            span for job, span in zip(jobs, spans, strict=True) if job.command.queue == name
        ]
        flat = [moment for span in of_queue for moment in span]
        assert flat == sorted(flat)
    assert (bench.manager.running, bench.manager.waiting) == (0, 0)


@pytest.mark.parametrize("quick", [Limits(max_jobs=2)], indirect=True)
async def test_jobs_that_wait_do_not_count_as_running(quick: QuickBench) -> None:
    """A hundred that wait for their queue or for their next run leave a slot to others."""
    recurring = [quick.tool(recurring_period=60) for _ in range(10)]
    for job in recurring:
        (await quick.process(job)).exit()
    await eventually_async(lambda: quick.manager.waiting == 10)
    queued = [quick.tool(queue="q") for _ in range(100)]
    assert (quick.manager.running, quick.manager.waiting) == (1, 109)
    other = quick.tool()
    assert other.stage is Stage.RUNNING
    assert quick.manager.running == 2
    (await quick.process(other)).exit()
    for job in queued:
        (await quick.process(job)).exit()
    assert (await quick.result(queued[-1])).ok
    assert list(quick.results) == [other.id, *(job.id for job in queued)]


@pytest.mark.parametrize("quick", [Limits(max_jobs=1, backoff=QUICK)], indirect=True)
async def test_slot_and_queue_are_free_between_two_runs(quick: QuickBench) -> None:
    """A job that is to run again stands at the end of the line, and those before it come first."""
    again = quick.tool(queue="q", max_restart=2)
    others = [quick.tool(queue="q") for _ in range(2)]
    free = quick.tool()
    process = await quick.process(again)
    process.exit(1)
    await eventually_async(lambda: not again.pid)
    order: list[Job] = []
    for _ in range(4):
        await eventually_async(lambda: any(job.pid for job in (again, *others, free)))
        [job] = [job for job in (again, *others, free) if job.pid]
        assert quick.manager.running == 1
        order.append(job)
        await asyncio.sleep(0.02)
        (await quick.process(job)).exit()
        await quick.result(job)
    assert order.index(others[0]) < order.index(others[1]) < order.index(again)
    assert (await quick.result(again)).attempts == 2


@pytest.mark.parametrize("quick", [Limits(max_jobs=3)], indirect=True)
async def test_those_who_wait_for_a_slot_get_it_in_their_order(quick: QuickBench) -> None:
    """First come, first served."""
    jobs = [quick.tool() for _ in range(30)]
    assert [job.stage for job in jobs] == [Stage.RUNNING] * 3 + [Stage.WAITING] * 27
    for job in jobs:
        process = await quick.process(job)
        assert quick.manager.running <= 3
        process.exit()
    await quick.all_results(jobs)
    assert [process.pid for process in quick.processes.started] == sorted(
        process.pid for process in quick.processes.started
    )
    assert list(quick.results) == [job.id for job in jobs]


@TWENTY
async def test_what_waited_is_journalled_before_it_runs(bench: Bench) -> None:
    """Jobs that had to wait are remembered as running; the others were placed so."""
    jobs = [bench.script("sleep 0.1") for _ in range(30)]
    assert [job.stage for job in jobs] == [Stage.RUNNING] * 20 + [Stage.WAITING] * 10
    await bench.all_results(jobs)
    assert bench.journalled == [job.id for job in jobs[20:]]


async def test_a_queue_keeps_order_and_never_overlaps(bench: Bench) -> None:
    """Jobs of one queue run one after the other."""
    jobs = [bench.script("date +%s%N; sleep 0.02; date +%s%N", queue="q") for _ in range(15)]
    results = await bench.all_results(jobs)
    stamps = [int(text) for result in results for text in result.stdout.split()]
    assert len(stamps) == 30
    assert stamps == sorted(stamps)
    assert list(bench.results) == [job.id for job in jobs]


async def test_many_queues_side_by_side(bench: Bench) -> None:
    """Each keeps its own order."""
    jobs = [bench.script("date +%s%N", queue=f"q{number % 5}") for number in range(60)]
    results = await bench.all_results(jobs)
    for queue in range(5):
        stamps = [int(result.stdout) for result in results[queue::5]]
        assert stamps == sorted(stamps)


@ONE
async def test_a_control_job_needs_no_slot(bench: Bench) -> None:
    """It runs while all slots are taken."""
    busy = bench.script("sleep 30")
    assert bench.manager.capacity() == 0
    result = await bench.result(bench.script("echo now", control=True))
    assert result.stdout == "now\n"
    assert busy.id not in bench.results


@pytest.mark.parametrize("bench", [Limits(max_jobs=5, max_waiting=3)], indirect=True)
async def test_room_is_bounded_by_those_who_wait(bench: Bench) -> None:
    """Jobs that wait for their queue take no slot, but there may not be any number of them."""
    holder = bench.script("sleep 30", queue="q")
    assert bench.manager.capacity() == 3
    waiting = [bench.script("true", queue="q") for _ in range(3)]
    assert (bench.manager.running, bench.manager.waiting) == (1, 3)
    assert bench.manager.capacity() == 0
    bench.manager.kill(holder.id)
    await bench.all_results([holder, *waiting])
    assert bench.manager.capacity() == 3


@ONE
async def test_a_withdrawn_job_leaves_no_trace(bench: Bench) -> None:
    """Its slot and its queue are free again, and it has no result."""
    job = bench.place("bash", {"script": "echo never"}, queue="q")
    behind = bench.script("echo out", queue="q")
    bench.manager.withdraw(job)
    assert (await bench.result(behind)).stdout == "out\n"
    assert job.id not in bench.results


async def test_expired_while_it_waited(bench: Bench) -> None:
    """A job whose time is over when its turn comes is not run."""
    holder = bench.script("sleep 0.3", queue="q")
    late = bench.script("echo never", queue="q", expires_at=bench.now_ms() + 50)
    result = await bench.result(late)
    assert (result.state, result.code, result.attempts) == (JobState.EXPIRED, 410, 0)
    assert (await bench.result(holder)).state is JobState.SUCCESS


async def test_jobs_are_listed(bench: Bench) -> None:
    """A snapshot has all jobs, or those that are asked for and exist."""
    jobs = [bench.script("sleep 30", queue="q") for _ in range(2)]
    assert bench.manager.snapshot() == jobs
    assert bench.manager.snapshot([jobs[1].id, "none"]) == [jobs[1]]
    assert bench.manager.unstarted() == [jobs[1]] or bench.manager.unstarted() == jobs
