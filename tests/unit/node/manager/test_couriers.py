"""Observers that are slow, fail, or are many; couriers, which tell each of them."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.limits import Limits
from corex_node.manager.messages import JobMessage
from corex_node.manager.observers import Courier, Handler
from corex_node.manager.threads import DaemonThreads
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState, Level
from tests.helpers.eventually import eventually, eventually_async
from tests.unit.node.manager.bench import Bench, QuickBench


class Diary(Handler):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def of(self, job_id: str) -> list[tuple[object, ...]]:
        """What it was told of one job."""
        return [(what, *rest) for what, job, *rest in self.told if job == job_id]

    def starting(self, command: Command) -> None:
        self.told.append(("starting", command.id))

    def message(self, command: Command, message: JobMessage) -> None:
        self.told.append(("message", command.id, message.level, message.text))

    def finished(self, command: Command, result: JobResult) -> None:
        self.told.append(("finished", command.id, result.state))

    def statistics(self, job_id: str, text: str) -> None:
        self.told.append(("statistics", job_id, text))


async def test_a_job_that_never_runs_is_told_too(quick: QuickBench) -> None:
    """One that is killed in its queue was going to start."""
    diary = Diary()
    quick.manager.add_handler(diary)
    quick.tool(queue="q")
    queued = quick.tool(queue="q")
    quick.manager.kill(queued.id)
    await eventually_async(lambda: len(diary.of(queued.id)) == 2)
    assert diary.of(queued.id) == [("starting",), ("finished", JobState.KILLED)]


async def test_a_handler_that_raises_harms_nobody(quick: QuickBench) -> None:
    """It is told on, and so are others."""

    class Bad(Diary):
        def starting(self, command: Command) -> None:
            super().starting(command)
            raise ValueError("a handler's own fault")

        finished = starting  # type: ignore[assignment] # a call that cannot even be made

    bad, good = Bad(), Diary()
    quick.manager.add_handler(bad)
    quick.manager.add_handler(good)
    for number in range(3):
        job = quick.push("core.ping", id=f"p{number}")
        assert quick.results[job.id].state is JobState.SUCCESS
    await eventually_async(lambda: len(good.told) == 6)
    await eventually_async(lambda: len(bad.told) == 3)
    assert [told[0] for told in bad.told] == ["starting"] * 3


async def test_observers_of_a_thousand_jobs_hear_all_in_order(quick: QuickBench) -> None:
    """Three handlers, one of them slow for a while, hear of every start and every end."""
    wake = threading.Event()

    class Slow(Diary):
        def starting(self, command: Command) -> None:
            wake.wait(30)
            super().starting(command)

    diaries = [Diary(), Slow(), Diary()]
    for diary in diaries:
        quick.manager.add_handler(diary)
    jobs = [quick.push("core.ping") for _ in range(1000)]
    assert {quick.results[job.id].state for job in jobs} == {JobState.SUCCESS}
    wake.set()
    expected = [(what, job.id) for job in jobs for what in ("starting", "finished")]
    for diary in diaries:
        await eventually_async(lambda: len(diary.told) == 2000)  # noqa: B023
        assert [told[:2] for told in diary.told] == expected


async def test_a_handler_that_sleeps_slows_no_job(bench: Bench) -> None:
    """Jobs that write much end meanwhile; it loses messages, never an end."""
    wake, asleep = threading.Event(), threading.Event()
    diary = Diary()

    class Sleeper(Diary):
        def starting(self, command: Command) -> None:
            super().starting(command)
            asleep.set()
            wake.wait(30)

    sleeper = Sleeper()
    bench.manager.add_handler(sleeper)
    bench.manager.add_handler(diary)
    first = bench.script("true")
    await eventually_async(asleep.is_set)
    lines = 3000
    script = f"i=0; while [ $i -lt {lines} ]; do echo 3::$i; i=$((i+1)); done"
    jobs = [first, *(bench.script(script) for _ in range(4))]
    begun = time.monotonic()
    results = await bench.all_results(jobs)
    assert time.monotonic() - begun < 25  # it sleeps for thirty
    assert {result.state for result in results} == {JobState.SUCCESS}
    assert len(sleeper.told) == 1
    wake.set()
    for job in jobs:
        await eventually_async(lambda: ("finished", JobState.SUCCESS) in sleeper.of(job.id))  # noqa: B023
    assert sum(told[0] == "message" for told in sleeper.told) == 1000
    assert sum(told[0] == "finished" for told in sleeper.told) == len(jobs)
    await eventually_async(lambda: diary.told.count(("message", jobs[-1].id, 3, str(lines - 1))))


async def test_dropping_for_a_slow_handler_costs_no_time(quick: QuickBench) -> None:
    """A message is taken as quickly when ten thousand events wait before it."""
    wake = threading.Event()

    class Sleeper(Handler):
        def starting(self, command: Command) -> None:
            wake.wait(30)

    job = quick.tool()
    await quick.process(job)
    quick.manager.add_handler(Sleeper())
    for _ in range(4_500):
        quick.push("core.ping")
    say = quick.manager.output.say
    begun = time.thread_time()
    for _ in range(20_000):
        say(job, Level.PUBLIC, "x")
    assert (time.thread_time() - begun) / 20_000 < 100e-6
    wake.set()


async def test_the_end_of_the_manager_waits_a_moment_for_observers() -> None:
    """What happened last is told; one that hangs is not waited for."""
    told, wake = threading.Event(), threading.Event()

    class Late(Handler):
        def finished(self, command: Command, result: JobResult) -> None:
            time.sleep(0.2)
            told.set()

    class Hanging(Handler):
        def finished(self, command: Command, result: JobResult) -> None:
            wake.wait(30)

    for handler in (Late(), Hanging()):
        quick = QuickBench(standard_registry(), Limits())
        quick.start()
        quick.manager.add_handler(handler)
        quick.push("core.ping")
        begun = time.monotonic()
        await quick.close()
        assert time.monotonic() - begun < 15  # half of what the one hangs for
    assert told.is_set()
    wake.set()


# -- couriers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_courier_tells_in_order_whoever_asks(seed: int) -> None:
    """Calls from several threads are made one at a time, each thread's in its order."""
    threads = DaemonThreads(8, "test", idle=0.05)
    courier = Courier(threads, "test")
    chance = random.Random(seed)
    told: list[tuple[int, int]] = []
    inside = threading.Lock()

    def hear(teller: int, number: int) -> None:
        assert inside.acquire(blocking=False)
        told.append((teller, number))
        inside.release()

    def tell(teller: int) -> None:
        for number in range(200):
            courier.tell(partial(hear, teller, number), is_message=chance.random() < 0.5)

    tellers = [threading.Thread(target=tell, args=(teller,)) for teller in range(4)]
    for thread in tellers:
        thread.start()
    for thread in tellers:
        thread.join()
    eventually(lambda: not threads.busy)
    assert courier.dropped == 0
    for teller in range(4):
        assert [number for who, number in told if who == teller] == list(range(200))


class _NoThreads(Executor):
    """Has no thread to give, until it has."""

    def __init__(self) -> None:
        self.works = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.works:
            raise RuntimeError("can't start new thread")
        fn(*args, **kwargs)
        return Future()


def test_a_courier_without_a_thread_drops_and_counts_and_recovers() -> None:
    """When the system has no thread, events are lost and counted; later ones are told."""
    executor = _NoThreads()
    courier = Courier(executor, "test")
    told: list[int] = []
    for number in range(3000):
        courier.tell(lambda: told.append(-1), is_message=number % 2 == 0)
    assert (told, courier.dropped) == ([], 3000)
    executor.works = True
    courier.tell(lambda: told.append(1), is_message=True)
    courier.tell(lambda: told.append(2))
    assert told == [1, 2]


def test_too_many_events_lose_the_newest() -> None:
    """Ten thousand starts and ends wait for one observer at most; what is lost is counted."""
    wake = threading.Event()
    threads = DaemonThreads(1, "test", idle=0.05)
    courier = Courier(threads, "test")
    told: list[int] = []
    courier.tell(lambda: wake.wait(30))
    eventually(lambda: threads.busy)
    for number in range(10_100):
        courier.tell(partial(told.append, number))
    wake.set()
    eventually(lambda: not threads.busy)
    assert len(told) + courier.dropped == 10_100
    assert told == list(range(len(told)))
    assert 99 <= courier.dropped <= 100
