"""Jobs that run again."""

from __future__ import annotations

from pathlib import Path

from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import ALL, Bench


async def test_until_it_succeeds(bench: Bench, tmp_path: Path) -> None:
    """A job runs again while it fails, and its result is that of the last run."""
    script = f"echo x >> {tmp_path}/runs; echo run; [ $(wc -l < {tmp_path}/runs) -eq 3 ]"
    result = await bench.result(bench.script(script, max_restart=10))
    assert (result.state, result.code, result.attempts) == (JobState.SUCCESS, 0, 3)
    assert result.stdout == "run\nrun\nrun\n"


async def test_no_more_than_allowed(bench: Bench) -> None:
    """`max_restart` counts all runs."""
    result = await bench.result(bench.script("exit 7", max_restart=3))
    assert (result.state, result.code, result.attempts) == (JobState.ERROR, 1007, 3)


async def test_zero_and_one_are_a_single_run(bench: Bench) -> None:
    """Neither runs again."""
    for runs in (0, 1):
        assert (await bench.result(bench.script("exit 1", max_restart=runs))).attempts == 1


async def test_recurring_until_it_is_killed(bench: Bench) -> None:
    """A recurring job runs on, successful or not, and has one result at its end."""
    job = bench.script("echo run; exit $((RANDOM % 2))", recurring_period=0.02, demand=ALL)
    await eventually_async(lambda: job.attempts >= 4)
    assert job.id not in bench.results
    bench.manager.kill(job.id)
    result = await bench.result(job)
    assert result.state is JobState.KILLED
    assert result.attempts >= 4


async def test_a_queue_is_free_between_runs(bench: Bench) -> None:
    """A recurring job holds its queue while it runs only."""
    recurring = bench.script("echo run", recurring_period=60, queue="q")
    other = bench.script("echo other", queue="q")
    assert (await bench.result(other)).stdout == "other\n"
    assert recurring.id not in bench.results
    assert bench.manager.running == 0


async def test_a_wrong_argument_may_be_tried_again_too(bench: Bench) -> None:
    """Runs that could not be started count as runs."""
    job = bench.push("core.system", {"name": "no-such-program"}, max_restart=2)
    result = await bench.result(job)
    assert (result.code, result.attempts) == (404, 2)
