"""Threads that nobody can stop."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from corex_node.manager.threads import DaemonThreads
from corex_shared.errors import ServiceUnavailableError
from tests.helpers.eventually import eventually


def _named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def _await_end(threads: DaemonThreads, name: str) -> None:
    """Wait until no thread is left; one that oversleeps its time is called (`DaemonThreads`)."""
    for _ in range(5):
        with suppress(AssertionError):
            eventually(lambda: not _named(name), seconds=1)
            return
        threads.submit(int).result(5)
    raise AssertionError(f"they do not end: {_named(name)}")


def _hang(threads: DaemonThreads, wake: threading.Event, count: int) -> list[Future[bool]]:
    """Have calls made that hang, and return when all of them do."""
    begun = threading.Semaphore(0)

    def hang() -> bool:
        begun.release()
        return wake.wait(30)

    futures = [threads.submit(hang) for _ in range(count)]
    for _ in range(count):
        assert begun.acquire(timeout=10)
    return futures


def test_a_call_has_its_answer_or_its_error() -> None:
    """Whatever is raised is the future's."""
    threads = DaemonThreads(2, "answers", idle=0.05)
    assert threads.submit(divmod, 7, 2).result(5) == (3, 1)
    assert threads.submit(dict, a=1).result(5) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(5)
    with pytest.raises(SystemExit):
        threads.submit(sys.exit, 3).result(5)


async def test_an_error_that_no_future_of_the_loop_can_hold_is_another_one() -> None:
    """StopIteration, which a careless `next` raises, does not leave its caller waiting."""
    threads = DaemonThreads(2, "stop", idle=0.05)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(threads.call(next, iter(())), 5)


def test_threads_are_made_as_they_are_needed_and_end_when_idle() -> None:
    """One for calls one after the other, more for calls at once, none in the end."""
    threads = DaemonThreads(8, "needed", idle=0.2)
    for _ in range(5):
        threads.submit(int).result(5)
        eventually(lambda: not threads.busy)
    assert len(_named("needed")) == 1
    wake = threading.Event()
    futures = _hang(threads, wake, 5)
    assert len(_named("needed")) == 5
    wake.set()
    assert [future.result(5) for future in futures] == [True] * 5
    _await_end(threads, "needed")
    assert threads.submit(int).result(5) == 0
    assert all(thread.daemon for thread in _named("needed"))


def test_there_are_never_more_threads_than_allowed() -> None:
    """Further calls wait, and are made in their order."""
    threads = DaemonThreads(3, "most", idle=0.05)
    wake, told = threading.Event(), list[int]()
    _hang(threads, wake, 3)
    futures = [threads.submit(told.append, number) for number in range(50)]
    assert len(_named("most")) == 3
    assert told == []
    wake.set()
    for future in futures:
        future.result(5)
    assert sorted(told) == list(range(50))


@pytest.mark.parametrize("seed", range(4))
def test_no_call_is_lost(seed: int) -> None:
    """From several threads, with pauses around the time after which idle ones end."""
    idle = 0.001
    threads = DaemonThreads(4, f"hammer-{seed}", idle=idle)
    made, lock = [0], threading.Lock()

    def count() -> None:
        with lock:
            made[0] += 1

    def ask(chance: random.Random) -> None:
        for _ in range(300):
            futures = [threads.submit(count) for _ in range(chance.randrange(1, 4))]
            if chance.random() < 0.5:
                futures[0].result(5)  # nobody else has to come for it
            asked.append(len(futures))
            time.sleep(chance.choice([0, idle / 2, idle, idle * 1.05]))

    asked: list[int] = []
    askers = [threading.Thread(target=ask, args=(random.Random(seed * 10 + n),)) for n in range(2)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(30)
    finally:
        sys.setswitchinterval(switch)
    eventually(lambda: not threads.busy)
    assert made == [sum(asked)]
    assert made[0] > 900
    _await_end(threads, f"hammer-{seed}")


def test_a_call_that_comes_as_the_last_thread_goes_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the moment between the end of its patience and its own."""
    late: list[Future[int]] = []

    class Late(SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            try:
                return super().get(block, timeout)
            except Empty:
                if not late:
                    late.append(threads.submit(int))
                raise

    monkeypatch.setattr("corex_node.manager.threads.SimpleQueue", Late)
    threads = DaemonThreads(1, "late", idle=0.02)
    threads.submit(int).result(5)
    eventually(lambda: late)
    assert late[0].result(5) == 0
    _await_end(threads, "late")


def test_a_cancelled_call_is_not_made() -> None:
    """If it had not begun; its place is another's."""
    threads = DaemonThreads(1, "cancel", idle=0.05)
    wake, told = threading.Event(), list[int]()
    [running] = _hang(threads, wake, 1)
    waits, last = threads.submit(told.append, 1), threads.submit(told.append, 2)
    assert waits.cancel()
    assert not running.cancel()
    wake.set()
    last.result(5)
    assert told == [2]


def test_a_call_that_is_given_up_makes_room() -> None:
    """Those that wait get a thread in place of one that hangs."""
    threads = DaemonThreads(2, "room", idle=0.05)
    wake = threading.Event()
    hanging = _hang(threads, wake, 2)
    waits = [threads.submit(int) for _ in range(3)]
    threads.give_up(hanging[0])
    assert [future.result(5) for future in waits] == [0, 0, 0]
    wake.set()
    assert [future.result(5) for future in hanging] == [True, True]
    _await_end(threads, "room")


def test_a_call_that_is_given_up_before_it_began_is_not_made() -> None:
    """It waits in vain, and costs nothing."""
    threads = DaemonThreads(1, "before", idle=0.05)
    wake, told = threading.Event(), list[int]()
    _hang(threads, wake, 1)
    waits = threads.submit(told.append, 1)
    threads.give_up(waits)
    wake.set()
    assert threads.submit(int).result(5) == 0
    with pytest.raises(CancelledError):
        waits.result(5)
    assert told == []


def test_giving_up_what_is_done_or_given_up_changes_nothing() -> None:
    """The count of threads stays right."""
    threads = DaemonThreads(1, "again", idle=0.05)
    done = threads.submit(int)
    done.result(5)
    wake = threading.Event()
    for _ in range(3):
        threads.give_up(done)
    [hanging] = _hang(threads, wake, 1)
    for _ in range(3):
        threads.give_up(hanging)
    other = threading.Event()
    _hang(threads, other, 1)
    queued = threads.submit(int)
    assert len(_named("again")) == 2
    other.set()
    assert queued.result(5) == 0
    wake.set()


def test_calls_that_hang_are_refused_when_there_are_too_many_of_them() -> None:
    """Then nobody waits for a thread that will not come; one that comes back serves again."""
    threads = DaemonThreads(3, "stuck", idle=0.05)
    first, others = threading.Event(), threading.Event()
    for wake in (first, others, others, others, others, others):
        [hanging] = _hang(threads, wake, 1)
        threads.give_up(hanging)
    with pytest.raises(ServiceUnavailableError, match="6 calls do not return"):
        threads.submit(int)
    first.set()
    eventually(lambda: len(_named("stuck")) == 5)
    assert threads.submit(int).result(5) == 0
    others.set()
    _await_end(threads, "stuck")


def test_a_thread_that_comes_back_serves_those_who_wait() -> None:
    """When it was given up and no other may be made meanwhile."""
    threads = DaemonThreads(1, "back", idle=0.05)
    first, second = threading.Event(), threading.Event()
    [one] = _hang(threads, first, 1)
    threads.give_up(one)
    [two] = _hang(threads, second, 1)
    waits = threads.submit(int)
    threads.give_up(two)
    time.sleep(0.05)
    assert not waits.done()
    first.set()
    assert waits.result(5) == 0
    second.set()


@pytest.mark.parametrize("seed", range(3))
def test_giving_up_at_any_moment_loses_neither_calls_nor_threads(seed: int) -> None:
    """Calls that are given up as they end, again and again."""
    threads = DaemonThreads(3, f"giving-{seed}", idle=0.002)
    chance = random.Random(seed)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(400):
            futures = [
                threads.submit(time.sleep, chance.choice([0, 0, 1e-5, 1e-4])) for _ in range(3)
            ]
            for future in futures:
                threads.give_up(future)
    finally:
        sys.setswitchinterval(switch)
    eventually(lambda: not threads.busy)
    _await_end(threads, f"giving-{seed}")
    wake = threading.Event()
    _hang(threads, wake, 3)
    assert len(_named(f"giving-{seed}")) == 3
    wake.set()


def test_a_system_without_threads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any thread a call is refused and not made later; with one it waits."""
    threads = DaemonThreads(3, "none", idle=5)
    told: list[int] = []

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ServiceUnavailableError):
            threads.submit(told.append, 1)
    threads.submit(told.append, 2).result(5)
    wake = threading.Event()
    _hang(threads, wake, 1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        waits = threads.submit(told.append, 3)
    wake.set()
    waits.result(5)
    assert told == [2, 3]


def test_after_the_shutdown_nothing_is_called() -> None:
    """What waits is cancelled if so asked, and nothing new is taken; nobody is waited for."""
    threads = DaemonThreads(1, "shut", idle=0.05)
    wake = threading.Event()
    [running] = _hang(threads, wake, 1)
    waits = threads.submit(int)
    begun = time.monotonic()
    threads.shutdown(cancel_futures=True)
    assert time.monotonic() - begun < 10  # it hangs for thirty
    assert waits.cancelled()
    with pytest.raises(RuntimeError):
        threads.submit(int)
    wake.set()
    assert running.result(5) is True


async def test_a_cancelled_wait_gives_its_call_up() -> None:
    """So that who comes next has a thread."""
    threads = DaemonThreads(1, "wait", idle=0.05)
    wake, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        wake.wait(30)

    waits = asyncio.create_task(threads.call(hang))
    while not begun.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    waits.cancel()
    await asyncio.wait([waits])
    assert waits.cancelled()
    assert await asyncio.wait_for(threads.call(partial(int, "7")), 5) == 7
    wake.set()


def test_a_hanging_call_does_not_keep_the_process_from_ending() -> None:
    """It ends with the rest of the program."""
    code = (
        "import time\n"
        "from corex_node.manager.threads import DaemonThreads\n"
        "threads = DaemonThreads(2, 'x')\n"
        "threads.submit(time.sleep, 60)\n"
        "threads.submit(print, 'done', flush=True).result()\n"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == b"done\n"
    assert time.monotonic() - begun < 20
