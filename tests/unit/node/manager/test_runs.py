"""Jobs that run again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
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


async def test_each_run_but_the_last_has_an_entry_and_an_event(bench: Bench) -> None:
    """What it came to, how long it took, when the next begins."""
    job = bench.script("echo run; exit 5", max_restart=3, demand=ALL)
    await bench.result(job)
    entries = [json.loads(text) for name, level, text in bench.messages if level == 30]
    assert [(entry["run"], entry["state"], entry["code"]) for entry in entries] == [
        (1, "ERROR", 1005),
        (2, "ERROR", 1005),
    ]
    assert [(kind, name) for kind, name, _ in bench.events] == [("restart", job.id)] * 2
    assert [fields for _, _, fields in bench.events] == entries


async def test_runs_of_a_recurring_job_are_recurring_events(bench: Bench) -> None:
    """A run that fails is one like another, and its period stays."""
    job = bench.script("exit $((RANDOM % 2))", recurring_period=0.05, demand=ALL)
    await eventually_async(lambda: len(bench.events) >= 4)
    bench.manager.kill(job.id)
    assert {kind for kind, _, _ in bench.events} == {"recurring"}
    assert {fields["next"] for _, _, fields in bench.events} == {50}


async def test_unschedule_between_two_runs_ends_with_the_last_outcome(bench: Bench) -> None:
    """At once, and that is no kill."""
    job = bench.script("exit 6", recurring_period=60)
    await eventually_async(lambda: job.attempts == 1 and job.execution is None)
    assert bench.manager.unschedule(job.id) is True
    result = bench.results[job.id]
    assert (result.state, result.code, result.attempts) == (JobState.ERROR, 1006, 1)


async def test_unschedule_during_a_run_lets_it_end(bench: Bench) -> None:
    """The run that is under way is the last."""
    job = bench.script("echo up; sleep 0.3; exit 0", recurring_period=0.01)
    await bench.ready(job)
    assert bench.manager.unschedule(job.id) is True
    result = await bench.result(job)
    assert (result.state, result.attempts) == (JobState.SUCCESS, 1)


async def test_unschedule_of_nobody(bench: Bench) -> None:
    """There is nothing to unschedule."""
    assert bench.manager.unschedule("nobody") is False


async def test_a_signal_at_a_restart_hits_no_other_run(bench: Bench, tmp_path: Path) -> None:
    """A signal reaches the run that it was sent to, or none; never the one that follows."""
    told = tmp_path / "told"
    # A run says who it is when it can hear, and when it has heard.
    script = (
        f"trap 'echo heard $$ >> {told}; exit 1' USR1; echo hears $$ >> {told}; "
        "sleep 0.0$(($$ % 4)); exit 1"
    )
    job = bench.script(script, recurring_period=0.005)
    sent: set[int] = set()
    while job.attempts < 40:
        await asyncio.sleep(random.uniform(0, 0.02))
        pid = job.pid
        hears = told.exists() and f"hears {pid}\n" in told.read_text()
        if hears or job.execution is None:  # during a run, or between two
            bench.manager.kill(job.id, signal.SIGUSR1)
            sent.add(pid)
    assert job.id not in bench.results  # no run was hit that could not hear
    bench.manager.kill(job.id)
    await bench.result(job)
    heard = [int(line.split()[1]) for line in told.read_text().splitlines() if "heard" in line]
    assert set(heard) <= sent
    assert heard
    assert 0 in sent
