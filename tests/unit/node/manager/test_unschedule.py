"""Jobs that are to have no further run; reports of runs."""

from __future__ import annotations

import json

import pytest

from corex_node.manager.limits import Limits
from corex_shared.models import Command
from corex_shared.states import JobState, Level, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import ALL, QUICK, QuickBench


async def test_during_a_later_run_it_is_the_last(quick: QuickBench) -> None:
    """The job ends with it, and with its outcome, not with that of the one before."""
    job = quick.tool(recurring_period=0.01)
    first = await quick.process(job)
    first.exit(0)
    second = await quick.next_process(job, first)
    assert quick.manager.unschedule(job.id) is True
    assert second.running
    second.exit(7)
    result = await quick.result(job)
    assert (result.state, result.code, result.attempts) == (JobState.ERROR, 1007, 2)


async def test_who_is_between_two_runs(quick: QuickBench) -> None:
    """Of callers' jobs those that have run and wait; not before the first run, nor in a later."""
    holder = quick.tool(queue="q")
    quick.tool(queue="q", recurring_period=60)
    again = quick.tool(recurring_period=0.01)
    first = await quick.process(again)
    first.exit()
    await quick.next_process(again, first)
    rests = quick.tool(recurring_period=60)
    local = quick.manager.start(Command("core.system", {"name": "tool"}, recurring_period=60))
    for job in (rests, local):
        (await quick.process(job)).exit()
        await eventually_async(lambda: job.stage is Stage.WAITING)  # noqa: B023
    assert quick.manager.between_runs() == [rests]
    assert holder.stage is Stage.RUNNING


@pytest.mark.parametrize("code, state", [(0, JobState.SUCCESS), (3, JobState.ERROR)])
async def test_between_two_runs_it_ends_at_once(
    quick: QuickBench, code: int, state: JobState
) -> None:
    """With the outcome of the last, and what that wrote."""
    job = quick.tool(recurring_period=60)
    process = await quick.process(job)
    process.write(b"out\n20::[1]\n")
    process.exit(code)
    await eventually_async(lambda: job.stage is Stage.WAITING)
    assert quick.manager.unschedule(job.id) is True
    result = quick.results[job.id]
    assert (result.state, result.attempts) == (state, 1)
    assert (result.stdout, result.data) == ("out\n", "[1]")
    assert (quick.manager.running, quick.manager.waiting) == (0, 0)


async def test_before_the_first_run_there_is_one(quick: QuickBench) -> None:
    """A job that waits for its queue runs once."""
    holder = quick.tool(queue="q")
    job = quick.tool(queue="q", recurring_period=0.01)
    assert quick.manager.unschedule(job.id) is True
    assert job.id in quick.manager.jobs
    quick.manager.kill(holder.id)
    (await quick.process(job)).exit()
    assert (await quick.result(job)).attempts == 1


async def test_in_line_for_a_further_run_it_ends_at_once(quick: QuickBench) -> None:
    """When its period is over and its queue is another's."""
    job = quick.tool(queue="q", recurring_period=0.001)
    process = await quick.process(job)
    holder = quick.tool(queue="q")
    process.exit()
    await eventually_async(lambda: job in quick.manager.lineup.queues.waiters("q"))
    assert quick.manager.unschedule(job.id) is True
    assert quick.results[job.id].state is JobState.SUCCESS
    assert quick.manager.lineup.queues.waiters("q") == []
    assert (await quick.process(holder)).running


@pytest.mark.parametrize(
    "quick", [Limits(backoff=QUICK.__class__(first=60), grace=0.01)], indirect=True
)
async def test_restarts_end_too(quick: QuickBench) -> None:
    """A job that waits to be tried again is not."""
    job = quick.tool(max_restart=5)
    (await quick.process(job)).exit(3)
    await eventually_async(lambda: job.stage is Stage.WAITING)
    quick.manager.unschedule(job.id)
    assert quick.results[job.id].code == 1003


async def test_an_unknown_or_ended_job_is_not_there(quick: QuickBench) -> None:
    """Which is false, and no error."""
    assert quick.manager.unschedule("never-seen") is False
    job = quick.tool()
    (await quick.process(job)).exit()
    await quick.result(job)
    assert quick.manager.unschedule(job.id) is False


async def test_a_job_that_runs_once_does_not_mind(quick: QuickBench) -> None:
    """It is there, and goes on."""
    job = quick.tool()
    process = await quick.process(job)
    assert quick.manager.unschedule(job.id) is True
    process.exit()
    assert (await quick.result(job)).state is JobState.SUCCESS


# -- reports --------------------------------------------------------------------------------------


def _reports(quick: QuickBench) -> list[dict[str, object]]:
    return [json.loads(text) for _, level, text in quick.messages if level == Level.JOB]


async def test_every_run_of_a_recurring_job_is_reported(quick: QuickBench) -> None:
    """The last included: as a message of level 30 and as an event, the same in both."""
    job = quick.tool(recurring_period=0.01, demand=ALL)
    process = await quick.process(job)
    process.exit(0)
    process = await quick.next_process(job, process)
    process.exit(4)
    process = await quick.next_process(job, process)
    process.die(11)
    process = await quick.next_process(job, process)
    quick.manager.unschedule(job.id)
    process.exit(5)
    await quick.result(job)
    reports = _reports(quick)
    told = [(report["run"], report["state"], report["code"]) for report in reports]
    assert told == [(1, "SUCCESS", 0), (2, "ERROR", 1004), (3, "ERROR", 1139), (4, "ERROR", 1005)]
    assert [report["signal"] for report in reports] == [0, 0, 11, 0]
    assert [report["next"] for report in reports] == [10, 10, 10, None]
    assert quick.events == [("recurring", job.id, report) for report in reports]
    assert all(isinstance(report["duration"], int) for report in reports)


async def test_a_run_that_is_killed_is_reported_too(quick: QuickBench) -> None:
    """It was the last."""
    job = quick.tool(recurring_period=60, demand=ALL)
    await quick.process(job)
    quick.manager.kill(job.id)
    await quick.result(job)
    [report] = _reports(quick)
    assert (report["run"], report["state"], report["next"]) == (1, "KILLED", None)


async def test_a_run_that_never_was_is_not_reported(quick: QuickBench) -> None:
    """Killed or expired before it: there is a result only."""
    quick.tool(queue="q")
    killed = quick.tool(queue="q", recurring_period=60, demand=ALL)
    quick.manager.kill(killed.id)
    expired = quick.tool(recurring_period=60, demand=ALL, expires_at=1)
    assert (await quick.result(expired)).state is JobState.EXPIRED
    assert (_reports(quick), quick.events) == ([], [])


async def test_a_run_that_is_followed_by_a_restart_is_reported(quick: QuickBench) -> None:
    """The last of such a job is its result."""
    job = quick.tool(max_restart=3, demand=ALL)
    process = await quick.process(job)
    for _ in range(2):
        process.exit(4)
        process = await quick.next_process(job, process)
    process.exit(4)
    await quick.result(job)
    assert [report["run"] for report in _reports(quick)] == [1, 2]
    assert [(kind, fields["next"]) for kind, _, fields in quick.events] == [
        ("restart", 10),
        ("restart", 20),
    ]


async def test_a_failing_run_does_not_change_the_period(quick: QuickBench) -> None:
    """There is no backoff between runs of a recurring job."""
    job = quick.tool(recurring_period=0.02, max_restart=2, demand=ALL)
    process = await quick.process(job)
    for code in (1, 1, 0, 1, 1, 1):
        process.exit(code)
        process = await quick.next_process(job, process)
    assert {report["next"] for report in _reports(quick)} == {20}


async def test_each_run_has_its_own_data_and_time(quick: QuickBench) -> None:
    """What an earlier run said last is not the later one's."""
    job = quick.tool(recurring_period=0.01, max_time=5)
    process = await quick.process(job)
    process.write(b"20::[1]\n9::bad\n")
    process.exit()
    process = await quick.next_process(job, process)
    quick.manager.unschedule(job.id)
    process.exit()
    result = await quick.result(job)
    assert (result.data, result.critical) == ("", "")


async def test_the_time_of_each_run_is_bounded_by_itself(quick: QuickBench) -> None:
    """A recurring job may live longer than `max_time`, a run may not."""
    job = quick.tool(recurring_period=0.01, max_time=0.1, demand=ALL)
    process = await quick.process(job)
    for _ in range(4):
        process.exit()
        process = await quick.next_process(job, process)
    process = await quick.next_process(job, process)
    states = [report["state"] for report in _reports(quick)]
    assert states == ["SUCCESS"] * 4 + ["TIMEOUT"]
