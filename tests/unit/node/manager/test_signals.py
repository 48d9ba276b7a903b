"""Signals and kills at every moment of a job's life."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.jobs import Job
from corex_node.manager.limits import Limits
from corex_node.manager.restarts import Backoff
from corex_shared.models import Command
from corex_shared.states import JobState, Stage
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import QUICK, Bench, QuickBench

STOPS = [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT]
PASSED_ON = [signal.SIGUSR1, signal.SIGHUP, signal.SIGWINCH]


# -- jobs that do not run -------------------------------------------------------------------------


@pytest.mark.parametrize("number", STOPS)
async def test_a_stop_of_a_queued_job_takes_it_out(quick: QuickBench, number: int) -> None:
    """At once, and those behind it move up."""
    holder, queued, behind = (quick.tool(queue="q") for _ in range(3))
    assert quick.manager.kill(queued.id, number) is True
    assert quick.results[queued.id].state is JobState.KILLED
    assert quick.manager.lineup.queues.waiters("q") == [behind]
    (await quick.process(holder)).exit()
    (await quick.process(behind)).exit()
    assert (await quick.result(behind)).ok


@pytest.mark.parametrize("number", PASSED_ON)
async def test_another_signal_to_a_queued_job_is_to_no_attempt(
    quick: QuickBench, number: int
) -> None:
    """It goes to none that comes later either."""
    holder, queued = quick.tool(queue="q"), quick.tool(queue="q")
    assert quick.manager.kill(queued.id, number) is True
    (await quick.process(holder)).exit()
    process = await quick.process(queued)
    await asyncio.sleep(0.02)
    assert process.signals == []
    process.die(number)  # by itself: nobody asked this attempt to
    assert (await quick.result(queued)).state is JobState.ERROR


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("options", [{"recurring_period": 60}, {"max_restart": 9}])
@pytest.mark.parametrize(
    "quick", [Limits(backoff=Backoff(first=60), grace=0.01)], indirect=True, ids=["slow"]
)
async def test_a_stop_between_two_runs_ends_it_at_once(
    quick: QuickBench, number: int, options: dict[str, int]
) -> None:
    """With what it wrote so far."""
    job = quick.tool(**options)
    process = await quick.process(job)
    process.write(b"out\n")
    process.exit(1)
    await eventually_async(lambda: job.stage is Stage.WAITING)
    assert quick.manager.kill(job.id, number) is True
    result = quick.results[job.id]
    assert (result.state, result.attempts, result.stdout) == (JobState.KILLED, 1, "out\n")
    assert quick.manager.kill(job.id, number) is False
    assert (quick.manager.running, quick.manager.waiting) == (0, 0)


@pytest.mark.parametrize("quick", [Limits(max_jobs=1, grace=0.01)], indirect=True)
async def test_a_kill_of_one_that_waits_for_a_slot(quick: QuickBench) -> None:
    """It leaves its place, and its queue."""
    holder = quick.tool()
    waits, behind = quick.tool(queue="q"), quick.tool(queue="q")
    assert quick.manager.kill(waits.id) is True
    assert quick.results[waits.id].attempts == 0
    (await quick.process(holder)).exit()
    (await quick.process(behind)).exit()
    assert (await quick.result(behind)).ok


# -- jobs that are being started ------------------------------------------------------------------


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_while_it_is_being_started_is_not_lost(
    quick: QuickBench, number: int, turns: int
) -> None:
    """In whichever turn of the loop it comes, the job is killed and nothing of it is left."""
    job = quick.tool(max_restart=9, max_time=30)
    for _ in range(turns):
        await asyncio.sleep(0)
    assert quick.manager.kill(job.id, number) is True
    result = await quick.result(job, 5)
    assert (result.state, result.code) == (JobState.KILLED, 499)
    assert result.attempts <= 1
    for _ in range(10):  # in which it would be started
        await asyncio.sleep(0)
    await eventually_async(lambda: not quick.processes.running)
    assert quick.manager.running == 0


@pytest.mark.parametrize("number", STOPS)
async def test_a_stop_before_the_spawner_has_answered(bench: Bench, number: int) -> None:
    """With real processes, in any of the moments after the start."""
    jobs = [bench.program("sleep", "30") for _ in range(30)]
    for job in jobs:
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        assert bench.manager.kill(job.id, number) is True
    results = await bench.all_results(jobs)
    assert {result.state for result in results} == {JobState.KILLED}


@pytest.mark.parametrize("command", ["core.system", "inline"])
async def test_a_kill_while_it_is_journalled(quick: QuickBench, command: str) -> None:
    """A job that has its slot and waits for the journal never starts."""
    called: list[bool] = []
    quick.manager.registry.command("inline", dict, inline=True)(lambda _: called.append(True))
    quick.journal.clear()
    holder, job = quick.tool(queue="q"), quick.push(command, {"name": "tool"}, queue="q")
    (await quick.process(holder)).exit()
    await eventually_async(lambda: job.stage is Stage.RUNNING)
    assert quick.manager.kill(job.id) is True
    assert (quick.results[job.id].state, quick.results[job.id].attempts) == (JobState.KILLED, 0)
    quick.journal.set()
    other = quick.tool(queue="q")
    await quick.process(other)
    assert len(quick.processes.started) == 2
    assert called == []


# -- jobs that run --------------------------------------------------------------------------------


async def test_one_of_several_signals_that_was_deadly(quick: QuickBench) -> None:
    """A job that dies of any signal that callers sent was killed, not only of the last."""
    job = quick.tool()
    process = await quick.process(job)
    quick.manager.kill(job.id, signal.SIGUSR1)
    quick.manager.kill(job.id, signal.SIGWINCH)
    await eventually_async(lambda: len(process.signals) == 2)
    process.die(signal.SIGUSR1)
    result = await quick.result(job)
    assert (result.state, result.code, result.signal) == (JobState.KILLED, 499, 10)


async def test_a_deadly_signal_that_nobody_sent_is_an_error(quick: QuickBench) -> None:
    """Even after others were sent."""
    job = quick.tool()
    process = await quick.process(job)
    quick.manager.kill(job.id, signal.SIGWINCH)
    await eventually_async(lambda: process.signals)
    process.die(signal.SIGSEGV)
    result = await quick.result(job)
    assert (result.state, result.code) == (JobState.ERROR, 1128 + 11)


async def test_a_signal_to_an_earlier_attempt_is_no_excuse_for_a_later(quick: QuickBench) -> None:
    """An attempt that dies of a signal that was sent before it began was not killed."""
    job = quick.tool(max_restart=2)
    process = await quick.process(job)
    quick.manager.kill(job.id, signal.SIGUSR1)
    await eventually_async(lambda: process.signals)
    process.exit(1)
    process = await quick.next_process(job, process)
    process.die(signal.SIGUSR1)
    assert (await quick.result(job)).state is JobState.ERROR


async def test_a_job_that_ignores_int_still_has_its_time_only(quick: QuickBench) -> None:
    """INT lets it end as it pleases, but not beyond `max_time`: it was killed."""
    job = quick.tool(max_time=0.2, grace=0.05)
    process = await quick.process(job)
    process.stubborn = True
    quick.manager.kill(job.id, signal.SIGINT)
    result = await quick.result(job, 5)
    assert (result.state, result.signal) == (JobState.KILLED, 9)
    assert process.signals == [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


async def test_its_time_does_not_hurry_a_job_that_is_given_grace(quick: QuickBench) -> None:
    """A job that was sent TERM is not sent it again."""
    job = quick.tool(max_time=0.05, grace=0.3)
    process = await quick.process(job)
    process.stubborn = True
    quick.manager.kill(job.id)
    assert (await quick.result(job, 5)).state is JobState.KILLED
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]


# -- signals and restarts -------------------------------------------------------------------------

_TRAPS = """
trap 'echo $$ saw SIGURG' URG; trap 'echo $$ saw SIGWINCH' WINCH; trap 'exit 3' ALRM
echo "is $$ begins"
while :; do sleep 0.002; done
"""


@pytest.fixture
async def restless() -> AsyncIterator[Bench]:
    """A manager whose jobs are started again at once."""
    made = Bench(standard_registry(), Limits(backoff=Backoff(first=0.0, jitter=0), grace=0.2))
    made.start()
    yield made
    await made.close()


async def test_signals_sent_as_a_job_restarts_reach_the_attempt_they_were_sent_to(
    restless: Bench,
) -> None:
    """A hundred restarts of a real job: no signal is seen by an attempt it was not sent to."""
    bench, chance = restless, random.Random(3)
    job = bench.script(_TRAPS, max_restart=10**6)
    sent: Counter[tuple[int, str]] = Counter()  # attempt, signal

    def send() -> None:
        number = chance.choice(
            [signal.SIGURG, signal.SIGWINCH]
        )  # not deadly before the trap is set
        if job.execution is not None:
            sent[job.attempts, number.name] += 1
        bench.manager.kill(job.id, number)

    while job.attempts < 100:
        await eventually_async(lambda: job.pid and f"is {job.pid} begins" in _stdout(job))
        for _ in range(chance.randrange(3)):
            send()
        await asyncio.sleep(chance.choice([0, 0.003, 0.006]))
        attempt = job.attempts
        bench.manager.kill(job.id, signal.SIGALRM)
        while job.attempts == attempt:
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            assert job.id not in bench.results
            if chance.random() < 0.2:
                send()
        for _ in range(chance.randrange(3)):  # perhaps before it runs
            await asyncio.sleep(0)
    bench.manager.stop(job.id)
    result = await bench.result(job)
    pids = re.findall(r"is (\d+) begins", result.stdout)
    saw = re.findall(r"(\d+) saw (\w+)", result.stdout)
    seen = Counter((pids.index(pid) + 1, name) for pid, name in saw)
    assert seen.total() > 25
    assert seen <= sent
    assert result.state is JobState.KILLED


def _stdout(job: Job) -> str:
    return job.stdout.tail.text() if job.stdout is not None else ""


async def test_signals_to_fake_attempts_reach_those_they_were_sent_to() -> None:
    """A thousand restarts, signals at any turn of the loop: each to the attempt that ran then."""
    quick = QuickBench(standard_registry(), Limits(backoff=Backoff(first=0.0, jitter=0)))
    quick.start()
    chance = random.Random(11)
    job = quick.tool(max_restart=10**6)
    sent: dict[int, list[int]] = {}  # attempt → signals
    unsent = 0
    while job.attempts < 1000:
        for process in quick.processes.running:
            process.stubborn = True
        if job.pid and chance.random() < 0.3:
            quick.processes.running[0].exit(1)
        if chance.random() < 0.5:
            number = chance.choice(PASSED_ON)
            if job.execution is not None:
                sent.setdefault(job.attempts, []).append(number)
            else:
                unsent += 1
            assert quick.manager.kill(job.id, number) is True
        await asyncio.sleep(0)
    quick.manager.stop(job.id, signal.SIGKILL)
    await quick.result(job)
    for attempt, process in enumerate(quick.processes.started, 1):
        seen = [number for number in process.signals if number in PASSED_ON]
        assert sent.get(attempt, [])[: len(seen)] == seen
    assert sum(len(process.signals) for process in quick.processes.started) > 300
    assert unsent > 100
    await quick.close()


async def test_a_deadly_signal_ends_the_attempt_it_was_sent_to_or_none() -> None:
    """Five hundred jobs that fail and restart: USR1 and HUP at any turn of the loop."""
    quick = QuickBench(
        standard_registry(), Limits(max_jobs=1000, backoff=Backoff(first=0.0, jitter=0))
    )
    quick.start()
    chance = random.Random(5)
    jobs = {quick.tool(max_restart=10**6): chance.randrange(200) for _ in range(500)}
    sent: dict[str, int] = {}  # job → attempt that ran, 0 for none
    for turn in range(220):
        for process in quick.processes.running:
            if chance.random() < 0.3:
                process.exit(1)
        for job, at in jobs.items():
            if at == turn:
                sent[job.id] = job.attempts if job.execution is not None else 0
                quick.manager.kill(job.id, chance.choice([signal.SIGUSR1, signal.SIGHUP]))
        await asyncio.sleep(0)
    killed = 0
    for job in jobs:
        if job.id in quick.results:
            result = quick.results[job.id]
            assert (result.state, result.attempts) == (JobState.KILLED, sent[job.id])
            killed += 1
    assert killed > 10
    await quick.close()


# -- the journal ----------------------------------------------------------------------------------


async def test_a_journal_that_does_not_answer_keeps_no_job_of_code_from_running(
    quick: QuickBench,
) -> None:
    """While Redis is away, jobs of code go on; further runs of callers' jobs wait for it."""
    quick.journal.clear()
    recurring = quick.manager.start(Command("core.system", {"name": "tool"}, recurring_period=0.01))
    asked = quick.tool(recurring_period=0.01)
    (await quick.process(asked)).exit()
    service = quick.manager.start(Command("core.system", {"name": "svc"}, max_restart=5))
    holder, queued = quick.tool(queue="q"), quick.tool(queue="q")
    (await quick.process(holder)).exit()
    await eventually_async(lambda: queued.stage is Stage.RUNNING, "it waits for the journal")
    for job in (recurring, service):
        process = await quick.process(job)
        for _ in range(2):
            process.exit(1)
            process = await quick.next_process(job, process)
    assert (asked.attempts, queued.attempts) == (1, 0)
    quick.journal.set()
    assert (await quick.process(queued)).running
    assert (await quick.process(asked)).running
    assert quick.parked == [asked.id]
    assert set(quick.journalled) == {asked.id, queued.id}


async def test_a_journal_that_fails_ends_the_starter() -> None:
    """With its error, and nothing that it was to write is started."""

    class Lost(QuickBench):
        async def running(self, jobs: list[Job]) -> None:
            raise RuntimeError("another agent serves the node")

    quick = Lost(standard_registry(), Limits(backoff=QUICK))
    starter = asyncio.create_task(quick.manager.run())
    holder, queued = quick.tool(queue="q"), quick.tool(queue="q")
    (await quick.process(holder)).exit()
    with pytest.raises(RuntimeError, match="another agent"):
        await asyncio.wait_for(starter, 5)
    assert queued.attempts == 0
    assert len(asyncio.all_tasks()) == 1
    quick.start()
    await quick.close()
