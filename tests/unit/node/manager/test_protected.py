"""Protected jobs: always started again, until they are stopped or all is shut down."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.manager.flags import JobFlags
from corex_node.manager.handle import JobHandle
from corex_node.manager.limits import Limits
from corex_node.manager.restarts import PROTECTED, Backoff, RestartPolicy, policy_of
from corex_shared.errors import NotFoundError
from corex_shared.models import Command
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import QuickBench

SHIELDED = JobFlags(protected=True)
BRISK = pytest.mark.parametrize(
    "quick", [Limits(protected=Backoff(first=0.005, factor=1, jitter=0), grace=0.01)], indirect=True
)
SLOW = pytest.mark.parametrize(
    "quick", [Limits(protected=Backoff(first=60), grace=0.01)], indirect=True
)


def _service(quick: QuickBench, **fields: object) -> JobHandle:
    command = Command("core.system", {"name": "svc"}, id="svc", **fields)  # type: ignore[arg-type]
    return quick.manager.start(command, flags=SHIELDED)


@BRISK
async def test_it_is_started_again_whatever_ends_it(quick: QuickBench) -> None:
    """Success, failure, a signal that nobody sent, a kill, a timeout."""
    service = _service(quick, max_time=0.3)
    process = await quick.process(service)
    process.exit(0)
    process = await quick.next_process(service, process)
    process.exit(1)
    process = await quick.next_process(service, process)
    process.die(signal.SIGSEGV)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGUSR1):
        process = await quick.next_process(service, process)
        assert service.signal(number) is True
        await eventually_async(lambda: process.signals)  # noqa: B023
        if number == signal.SIGUSR1:
            process.die(number)
    process = await quick.next_process(service, process)
    process = await quick.next_process(service, process)  # its time was over
    assert service.attempts == 9
    assert quick.manager.jobs["svc"].flags.protected
    service.stop()
    result = await service.wait(5)
    assert (result.state, result.attempts) == (JobState.KILLED, 9)


@BRISK
async def test_it_is_started_again_when_it_cannot_be_started(quick: QuickBench) -> None:
    """Its program may come back."""
    quick.processes.refusal = NotFoundError("svc: no such program")
    service = _service(quick)
    await eventually_async(lambda: service.attempts >= 3)
    quick.processes.refusal = None
    assert (await quick.process(service)).running
    service.stop()
    await service.wait(5)


@BRISK
async def test_max_restart_does_not_bound_it(quick: QuickBench) -> None:
    """Nor does a success end it."""
    service = _service(quick, max_restart=2)
    process = await quick.process(service)
    for _ in range(4):
        process.exit(1)
        process = await quick.next_process(service, process)
    service.stop()
    await service.wait(5)


@SLOW
async def test_stop_ends_it_between_two_runs(quick: QuickBench) -> None:
    """At once."""
    service = _service(quick)
    (await quick.process(service)).exit(1)
    await eventually_async(lambda: service.stage is Stage.WAITING)
    assert service.signal() is True  # a kill does not: it is to run again
    assert service.stage is Stage.WAITING
    assert service.stop() is True
    assert service.result is not None
    assert (service.result.state, service.result.attempts) == (JobState.KILLED, 1)


@SLOW
async def test_stop_ends_it_in_its_queue(quick: QuickBench) -> None:
    """It never runs then."""
    quick.tool(queue="q")
    service = _service(quick, queue="q")
    assert service.signal() is True
    assert service.stage is Stage.WAITING
    service.stop()
    assert service.result is not None
    assert service.result.attempts == 0


@BRISK
async def test_a_shutdown_ends_it(quick: QuickBench) -> None:
    """Killing all does not."""
    service = _service(quick)
    process = await quick.process(service)
    quick.manager.kill_all()
    process = await quick.next_process(service, process)
    await quick.manager.shutdown()
    assert service.result is not None
    assert service.result.state is JobState.KILLED
    assert not process.running


@BRISK
async def test_it_cannot_be_unscheduled_and_then_killed(quick: QuickBench) -> None:
    """Neither by code nor by a caller; nor does it end at once between two runs."""
    service = _service(quick)
    process = await quick.process(service)
    assert service.unschedule() is True
    result = await quick.result(quick.push("job.unschedule", {"id": "svc"}))
    assert result.data == "true"
    service.signal()
    process = await quick.next_process(service, process)
    process.exit()
    await eventually_async(lambda: service.stage is Stage.WAITING)
    assert service.unschedule() is True
    await quick.next_process(service, process)


@BRISK
async def test_a_recurring_one_keeps_its_period(quick: QuickBench) -> None:
    """When it is killed too."""
    service = _service(quick, recurring_period=0.01)
    process = await quick.process(service)
    process.exit()
    process = await quick.next_process(service, process)
    service.signal()
    await quick.next_process(service, process)


# -- how long it waits ----------------------------------------------------------------------------


def _policy() -> RestartPolicy:
    policy = policy_of(3, None, True, Backoff(), PROTECTED)
    assert policy is not None
    return policy


def test_its_waits_begin_with_two_seconds_and_grow_to_three_hundred() -> None:
    """By half each time, whether it failed or not."""
    policy = _policy()
    waits = [policy.after(number % 3 == 0, 1, 0) for number in range(16)]
    assert waits[:4] == [2, 3, 4.5, 6.75]
    assert waits == [min(300.0, 2 * 1.5**number) for number in range(16)]
    assert waits[-4:] == [2 * 1.5**12, 300, 300, 300]


def test_a_healthy_run_makes_it_wait_briefly_again() -> None:
    """One of a minute."""
    policy = _policy()
    for _ in range(12):
        policy.after(False, 1, 0)
    assert (policy.after(False, 59.9, 0) or 0) > 100
    assert policy.after(False, 60, 0) == 2
    assert policy.after(True, 0, 0) == 3


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1000), st.floats(0, 1))))
def test_it_is_always_started_again(runs: list[tuple[bool, float, float]]) -> None:
    """Whatever came of its runs, there is a next one within the cap."""
    policy = _policy()
    for succeeded, lasted, chance in runs:
        wait = policy.after(succeeded, lasted, chance)
        assert wait is not None
        assert 2 * 0.8 <= wait <= 300


@given(st.integers(2, 20), st.lists(st.floats(0, 59), min_size=20, max_size=20))
def test_any_other_job_runs_as_often_as_it_may(most: int, lasting: list[float]) -> None:
    """`max_restart` counts all runs while none is healthy."""
    policy = policy_of(most, None, False, Backoff(), PROTECTED)
    assert policy is not None
    runs = 1
    while policy.after(False, lasting[runs - 1], 0.5) is not None:
        runs += 1
    assert runs == most


def test_who_has_a_policy() -> None:
    """A job that runs once has none."""
    assert policy_of(None, None, False, Backoff(), PROTECTED) is None
    assert policy_of(1, 0.0, False, Backoff(), PROTECTED) is None
    shielded = policy_of(None, None, True, Backoff(), PROTECTED)
    assert shielded == RestartPolicy(None, None, PROTECTED)
    assert policy_of(2, None, False, Backoff(), PROTECTED) == RestartPolicy(2, None, Backoff())
    assert policy_of(None, 3, False, Backoff(), PROTECTED) == RestartPolicy(0, 3, Backoff())
