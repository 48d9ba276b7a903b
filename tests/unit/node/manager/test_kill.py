"""Kill and timeout: whatever is asked for is what the result says."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from corex_node.manager.limits import Limits
from corex_node.manager.restarts import Backoff
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.helpers.processes import is_gone
from tests.unit.node.manager.bench import ALL, Bench

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


async def test_a_running_job(bench: Bench) -> None:
    """It is ended, and its process is gone when the result is there."""
    job = bench.script("echo ready; sleep 30")
    await bench.ready(job)
    process = psutil.Process(job.pid)
    assert bench.manager.kill(job.id) is True
    result = await bench.result(job)
    assert (result.state, result.code, result.signal) == (JobState.KILLED, 499, 15)
    assert result.stdout == "ready\n"
    assert is_gone(process)


async def test_a_queued_job(bench: Bench) -> None:
    """It has its result at once and never runs."""
    holder = bench.script("sleep 30", queue="q")
    queued = bench.script("echo never", queue="q")
    assert bench.manager.kill(queued.id) is True
    result = bench.results[queued.id]
    assert (result.state, result.attempts, result.starttime) == (JobState.KILLED, 0, 0)
    assert bench.manager.waiting == 0
    assert holder.id not in bench.results


async def test_a_job_that_is_not_admitted_yet(bench: Bench) -> None:
    """It ends when it is admitted, and does not run."""
    job = bench.place("bash", {"script": "echo never"})
    assert bench.manager.kill(job.id) is True
    assert job.id not in bench.results
    bench.manager.admit(job)
    result = await bench.result(job)
    assert (result.state, result.attempts) == (JobState.KILLED, 0)


async def test_a_job_that_was_admitted_just_now(bench: Bench) -> None:
    """A kill that comes with the start is not lost."""
    jobs = [bench.script("sleep 30") for _ in range(20)]
    for job in jobs:
        assert bench.manager.kill(job.id) is True
    results = await bench.all_results(jobs)
    assert {result.state for result in results} == {JobState.KILLED}


async def test_an_unknown_job(bench: Bench) -> None:
    """There is nothing to kill."""
    assert bench.manager.kill("never-seen") is False


async def test_one_that_has_ended(bench: Bench) -> None:
    """There is nothing to kill any more, and the result stays."""
    job = bench.script("true")
    await bench.result(job)
    assert bench.manager.kill(job.id) is False
    assert bench.results[job.id].state is JobState.SUCCESS


async def test_term_is_followed_by_kill_after_the_grace(bench: Bench) -> None:
    """A job that ignores TERM has its grace, and no more."""
    job = bench.script(STUBBORN, grace=0.3)
    await bench.ready(job)
    begun = time.monotonic()
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert 0.3 <= time.monotonic() - begun < 5  # the grace of those who say nothing
    assert (result.state, result.signal) == (JobState.KILLED, 9)


async def test_kill_does_not_wait_for_the_grace(bench: Bench) -> None:
    """Signal 9 is at once, even in the middle of a long grace."""
    job = bench.script(STUBBORN, grace=60)
    await bench.ready(job)
    bench.manager.kill(job.id)
    begun = time.monotonic()
    bench.manager.kill(job.id, signal.SIGKILL)
    assert (await bench.result(job)).state is JobState.KILLED
    assert time.monotonic() - begun < 15


async def test_no_grace_means_kill_at_once(bench: Bench) -> None:
    """A grace of 0 gives a job no time to clean up."""
    job = bench.script("trap 'echo cleaned; exit 0' TERM; echo ready; sleep 30 & wait", grace=0)
    await bench.ready(job)
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert (result.signal, result.stdout) == (9, "ready\n")


async def test_killed_is_killed_whatever_it_says(bench: Bench) -> None:
    """A job that exits with 0 on TERM was killed all the same."""
    job = bench.script("trap 'echo bye; exit 0' TERM; echo ready; sleep 30 & wait")
    await bench.ready(job)
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert (result.state, result.code, result.stdout) == (JobState.KILLED, 499, "ready\nbye\n")


async def test_a_signal_that_was_sent_and_was_deadly(bench: Bench) -> None:
    """A job that dies of the signal that a caller sent was killed; it is no error of its own."""
    job = bench.script("echo ready; sleep 30")
    await bench.ready(job)
    bench.manager.kill(job.id, signal.SIGUSR1)
    result = await bench.result(job)
    assert (result.state, result.signal) == (JobState.KILLED, 10)


async def test_a_signal_that_it_handles(bench: Bench) -> None:
    """It goes on by itself."""
    job = bench.script("trap 'echo usr1; exit 0' USR1; echo ready; sleep 30 & wait")
    await bench.ready(job)
    bench.manager.kill(job.id, signal.SIGUSR1)
    result = await bench.result(job)
    assert (result.state, result.stdout) == (JobState.SUCCESS, "ready\nusr1\n")


async def test_kill_between_two_runs(bench: Bench) -> None:
    """A job that waits for its next run has none."""
    job = bench.script("echo run", recurring_period=60)
    await eventually_async(lambda: job.attempts == 1 and job.execution is None)
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert (result.state, result.attempts) == (JobState.KILLED, 1)


async def test_kill_ends_the_restarts(bench: Bench) -> None:
    """A job that may run many times does not run again after it was killed."""
    job = bench.script("echo ready; sleep 30", max_restart=100)
    await bench.ready(job)
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert (result.state, result.attempts) == (JobState.KILLED, 1)


async def test_kill_during_the_grace_of_a_timeout_ends_it(bench: Bench) -> None:
    """A timed-out attempt that is killed in its grace is the last, however many are allowed."""
    job = bench.script(STUBBORN, max_time=0.5, grace=0.6, max_restart=100)
    await bench.ready(job)
    await eventually_async(lambda: job.verdict is not None, "it has timed out")
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert result.attempts == 1
    assert result.state in (JobState.TIMEOUT, JobState.KILLED)


async def test_a_timeout(bench: Bench) -> None:
    """A job that takes too long is stopped."""
    begun = time.monotonic()
    result = await bench.result(bench.script("sleep 30", max_time=0.2))
    assert 0.2 <= time.monotonic() - begun < 15
    assert (result.state, result.code, result.signal) == (JobState.TIMEOUT, 504, 15)
    assert result.time >= 200


async def test_a_timeout_is_one_whatever_the_process_says(bench: Bench) -> None:
    """A job that exits with 0 on TERM has timed out all the same."""
    script = "trap 'echo bye; exit 0' TERM; echo ready; sleep 30 & wait"
    result = await bench.result(bench.script(script, max_time=0.5))
    assert (result.state, result.code, result.stdout) == (JobState.TIMEOUT, 504, "ready\nbye\n")


async def test_a_timeout_of_one_that_ignores_term(bench: Bench) -> None:
    """It has its grace, then is killed."""
    result = await bench.result(bench.script(STUBBORN, max_time=0.5, grace=0.3))
    assert (result.state, result.signal) == (JobState.TIMEOUT, 9)
    assert result.time >= 800


async def test_a_timeout_reaches_the_whole_group(bench: Bench) -> None:
    """Children of the job end with it."""
    job = bench.script("sleep 301 & echo $!; wait", max_time=0.3)
    result = await bench.result(job)
    assert result.state is JobState.TIMEOUT
    assert is_gone(int(result.stdout))


async def test_in_time(bench: Bench) -> None:
    """A job that ends before its time is none the wiser."""
    assert (await bench.result(bench.script("true", max_time=30))).state is JobState.SUCCESS


async def test_a_timeout_is_of_each_attempt(bench: Bench) -> None:
    """A job that may run twice times out twice."""
    job = bench.script("echo run; sleep 30", max_time=0.1, max_restart=2)
    result = await bench.result(job)
    assert (result.state, result.attempts) == (JobState.TIMEOUT, 2)
    assert result.stdout == "run\nrun\n"


async def test_all_at_once(bench: Bench) -> None:
    """The agent's end is every job's."""
    jobs = [bench.script("sleep 30", queue=f"q{number % 3}") for number in range(12)]
    bench.manager.stop_all()
    results = await bench.all_results(jobs)
    assert {result.state for result in results} == {JobState.KILLED}


@pytest.mark.parametrize("bench", [Limits(grace=0.2, backoff=Backoff(0.01))], indirect=True)
async def test_the_nodes_grace(bench: Bench) -> None:
    """A command that says nothing has the node's."""
    job = bench.script(STUBBORN, demand=ALL)
    await bench.ready(job)
    begun = time.monotonic()
    bench.manager.kill(job.id)
    assert (await bench.result(job)).signal == 9
    assert 0.2 <= time.monotonic() - begun < 5
