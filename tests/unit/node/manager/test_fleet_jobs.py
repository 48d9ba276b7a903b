"""Jobs of queues that all nodes share: waiting, granted, ousted; with a line that a test keeps."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from corex_node.manager.handle import JobHandle
from corex_node.manager.jobs import Job
from corex_node.manager.limits import Limits
from corex_node.manager.ports import FleetQueue
from corex_node.process.program import TOKEN_VARIABLE
from corex_node.testing import FakeProcess
from corex_shared.errors import BadRequestError
from corex_shared.models import Command
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import QUICK, QuickBench


class Shared:
    """The line of all queues, kept by the test."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.left: list[str] = []
        self.holding: set[str] = set()

    def enter(self, job: Job) -> None:
        """Note it."""
        self.entered.append(job.id)

    def leave(self, job: Job) -> None:
        """Note it."""
        self.holding.discard(job.id)
        self.left.append(job.id)

    def disown(self, queue: str, job_id: str) -> None:
        """Note it."""
        self.left.append(job_id)

    def holds(self, job: Job) -> bool:
        """As the test says."""
        return job.id in self.holding

    async def held(self) -> list[FleetQueue]:
        """None."""
        return []

    async def shown(self, queue: str) -> FleetQueue:
        """An empty one."""
        return FleetQueue(queue, "", "", 0, 0, [])

    async def release(self, queue: str) -> bool:
        """Nobody's."""
        return False


@pytest.fixture
def shared(quick: QuickBench) -> Shared:
    """What the manager is given."""
    made = Shared()
    quick.manager.lineup.fleet = made
    return made


def _push(quick: QuickBench, **more: Any) -> Job:
    return quick.script("x", queue="q", queue_scope="fleet", **more)


def _grant(quick: QuickBench, shared: Shared, job: Job, token: int) -> None:
    shared.holding.add(job.id)
    quick.manager.tenure.granted(job, token)


async def _running(quick: QuickBench, count: int = 1) -> list[FakeProcess]:
    await eventually_async(lambda: len(quick.processes.running) == count)
    return quick.processes.running


def _token(process: FakeProcess) -> str:
    return (process.spec.marks or {})[TOKEN_VARIABLE]


async def test_a_job_waits_until_the_queue_is_granted(quick: QuickBench, shared: Shared) -> None:
    """It takes no slot meanwhile; it gets its token, and leaves at its end."""
    job = _push(quick)
    assert (job.stage, quick.manager.waiting, quick.manager.running) == (Stage.WAITING, 1, 0)
    assert shared.entered == [job.id]
    _grant(quick, shared, job, 7)
    [process] = await _running(quick)
    assert _token(process) == "7"
    assert JobHandle(job, quick.manager).fencing_token == 7
    assert (job.stage, quick.manager.waiting, quick.manager.running) == (Stage.RUNNING, 0, 1)
    assert shared.left == []
    process.exit()
    assert (await quick.result(job)).ok
    assert shared.left == [job.id]
    assert (quick.manager.waiting, quick.manager.running) == (0, 0)


async def test_a_queue_of_the_node_of_the_same_name_is_another(
    quick: QuickBench, shared: Shared
) -> None:
    """It is free."""
    _push(quick)
    quick.script("x", queue="q")
    [process] = await _running(quick)
    assert TOKEN_VARIABLE not in (process.spec.marks or {})
    assert len(shared.entered) == 1


async def test_jobs_enter_in_the_order_of_their_arrival(quick: QuickBench, shared: Shared) -> None:
    """Whichever is admitted first."""
    jobs = [quick.place("bash", {"script": "x"}, queue="q", queue_scope="fleet") for _ in range(4)]
    quick.manager.admit(jobs[1])
    quick.manager.admit(jobs[3])
    assert shared.entered == []
    quick.manager.admit(jobs[0])
    assert shared.entered == [jobs[0].id, jobs[1].id]
    quick.manager.withdraw(jobs[2])
    assert shared.entered == [jobs[0].id, jobs[1].id, jobs[3].id]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
async def test_a_waiting_job_that_is_killed_leaves(
    quick: QuickBench, shared: Shared, number: int
) -> None:
    """It never ran; a grant that comes late is nobody's."""
    job = _push(quick)
    quick.manager.kill(job.id, number)
    result = await quick.result(job)
    assert (result.state, result.attempts) == (JobState.KILLED, 0)
    assert shared.left == [job.id]
    _grant(quick, shared, job, 7)
    assert (quick.manager.waiting, quick.manager.lineup.free) == (0, quick.manager.limits.max_jobs)


@pytest.mark.parametrize("quick", [Limits(max_jobs=1, backoff=QUICK, grace=0.01)], indirect=True)
async def test_a_granted_job_waits_for_a_slot(quick: QuickBench, shared: Shared) -> None:
    """One that loses the queue meanwhile stands in line again, and is not started."""
    quick.script("other")
    [other] = await _running(quick)
    job = _push(quick)
    _grant(quick, shared, job, 7)
    quick.manager.tenure.ousted(job, "why")
    assert shared.entered == [job.id, job.id]
    other.exit()
    await eventually_async(lambda: quick.manager.capacity() == 1)
    assert not quick.processes.running
    _grant(quick, shared, job, 9)
    [process] = await _running(quick)
    assert _token(process) == "9"
    process.exit()
    assert (await quick.result(job)).attempts == 1


async def test_a_job_whose_lease_ran_out_before_it_began_stands_in_line_again(
    quick: QuickBench, shared: Shared
) -> None:
    """The journal took too long: it is not started beside another."""
    quick.journal.clear()
    job = _push(quick)
    _grant(quick, shared, job, 7)
    await eventually_async(lambda: job.stage is Stage.RUNNING)
    shared.holding.clear()
    quick.journal.set()
    await eventually_async(lambda: shared.entered == [job.id, job.id])
    assert (job.stage, job.attempts, quick.manager.running) == (Stage.WAITING, 0, 0)
    await eventually_async(lambda: quick.parked == [job.id], "it is remembered that it waits")
    _grant(quick, shared, job, 9)
    [process] = await _running(quick)
    process.exit()
    assert (await quick.result(job)).attempts == 1


async def test_a_running_job_that_loses_its_queue_is_stopped(
    quick: QuickBench, shared: Shared
) -> None:
    """With its grace, for good, and with the reason."""
    job = _push(quick, max_restart=5, grace=0.05)
    _grant(quick, shared, job, 7)
    [process] = await _running(quick)
    process.stubborn = True
    shared.holding.clear()
    quick.manager.tenure.ousted(job, "queue q: lost")
    result = await quick.result(job)
    assert (result.state, result.code, result.attempts) == (JobState.KILLED, 499, 1)
    assert result.data == '"queue q: lost"'
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]


async def test_between_two_runs_a_job_leaves_and_enters_again(
    quick: QuickBench, shared: Shared
) -> None:
    """Each run has a token of its own."""
    job = _push(quick, recurring_period=0.01)
    for run, token in enumerate((3, 5), 1):
        await eventually_async(lambda run=run: len(shared.entered) == run)  # type: ignore[misc]
        assert len(shared.left) == run - 1
        _grant(quick, shared, job, token)
        [process] = await _running(quick)
        assert _token(process) == str(token)
        process.exit()
    quick.manager.unschedule(job.id)


async def test_code_of_the_node_may_use_them_too(quick: QuickBench, shared: Shared) -> None:
    """Its jobs wait like others."""
    handle = quick.manager.start(
        Command("bash", {"script": "x"}, queue="q", queue_scope="fleet", id="mine")
    )
    assert (shared.entered, handle.stage) == (["mine"], Stage.WAITING)
    _grant(quick, shared, quick.manager.jobs["mine"], 7)
    [process] = await _running(quick)
    assert handle.fencing_token == 7
    process.exit()
    assert (await handle.wait(5)).ok


async def test_a_manager_without_such_queues_says_so(quick: QuickBench) -> None:
    """It does not run the command beside others."""
    with pytest.raises(BadRequestError, match="queue_scope"):
        quick.manager.start(Command("bash", {"script": "x"}, queue="q", queue_scope="fleet"))
    assert not quick.manager.jobs


async def test_a_built_in_knows_its_token(quick: QuickBench, shared: Shared) -> None:
    """By the job of its context."""

    async def tell(context: Any) -> int:
        """Answer it."""
        token: int = context.job.fencing_token
        return token

    quick.manager.registry.command("tell")(tell)
    job = quick.push("tell", queue="q", queue_scope="fleet")
    _grant(quick, shared, job, 11)
    assert (await quick.result(job)).data == "11"
