"""Hooks: observers of one job."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from corex_node.manager.hooks import DelayHook, ExitHook, Hook, MatchHook, PidHook, StreamHook
from corex_node.manager.messages import JobMessage
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState, Level
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import QuickBench

TOOL = Command("core.system", {"name": "tool"})
RESULT = JobResult("j", "c", "n1", JobState.SUCCESS, 0)


class Diary(Hook):
    """Writes down all that it is told, with the thread that told it."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, *what: object) -> None:
        self.told.append(what)
        self.threads.add(threading.current_thread())

    def started(self, pid: int) -> None:
        self._note("started", pid)

    def delayed(self) -> None:
        self._note("delayed")

    def message(self, message: JobMessage) -> None:
        self._note("message", message.level, message.text)

    def finished(self, result: JobResult) -> None:
        self._note("finished", result.state)


async def test_a_hook_is_told_everything_in_order_in_a_thread(quick: QuickBench) -> None:
    """Start, messages of all levels, the end; a second attempt too."""
    diary = Diary()
    job = quick.manager.start(Command("core.system", {"name": "tool"}, max_restart=2), diary)
    first = await quick.process(job)
    first.write(b"one\n7::careful\n")
    first.exit(1)
    second = await quick.next_process(job, first)
    second.write(b"two\n", stream=2)
    second.exit()
    await job.wait(5)
    await eventually_async(lambda: diary.told and diary.told[-1][0] == "finished")
    assert [told for told in diary.told if told[:2] != ("message", 30)] == [
        ("started", first.pid),
        ("message", 1, "one\n"),
        ("message", 7, "careful"),
        ("started", second.pid),
        ("message", 2, "two\n"),
        ("finished", JobState.SUCCESS),
    ]
    assert threading.main_thread() not in diary.threads


@pytest.mark.parametrize("command", ["core.ping", "job.list"])
async def test_a_hook_hears_of_a_built_in_too(quick: QuickBench, command: str) -> None:
    """It has no process, whatever its kind."""
    diary = Diary()
    await quick.manager.start(Command(command), diary).wait(5)
    await eventually_async(lambda: len(diary.told) == 2)
    assert diary.told == [("started", 0), ("finished", JobState.SUCCESS)]


async def test_a_job_that_never_runs_has_its_end_told_only(quick: QuickBench) -> None:
    """A job that is killed in its queue starts nothing."""
    diary = Diary()
    quick.tool(queue="q")
    job = quick.manager.start(Command("core.system", {"name": "tool"}, queue="q"), diary)
    job.stop()
    await eventually_async(lambda: diary.told)
    assert diary.told == [("finished", JobState.KILLED)]


async def test_the_delay_hook_does_not_act_for_one_that_ended_before(quick: QuickBench) -> None:
    """Each attempt has to live for so long."""
    acted: list[bool] = []
    job = quick.manager.start(
        Command("core.system", {"name": "tool"}, max_restart=3),
        DelayHook(0.2, lambda: acted.append(True)),
    )
    process = await quick.process(job)
    process.exit(1)
    process = await quick.next_process(job, process)
    process.exit(1)
    process = await quick.next_process(job, process)
    process.exit(1)
    await job.wait(5)
    diary = Diary()
    diary.delay = 0.3
    quick.manager.start(TOOL, diary)
    await eventually_async(lambda: ("delayed",) in diary.told, "later than the hook")
    assert acted == []


# -- MatchHook ------------------------------------------------------------------------------------


def _matched(*messages: tuple[int, str], pattern: str = "ready") -> list[str]:
    """What a hook acts on, when it is told these messages and the end."""
    lines: list[str] = []
    hook = MatchHook(pattern, lines.append)
    hook.started(1)
    for level, text in messages:
        hook.message(JobMessage(level, text, 0))
    hook.finished(RESULT)
    return lines


def test_the_match_hook_acts_on_the_first_line_only() -> None:
    """However many match."""
    assert _matched((1, "one\nready 1\nready 2\n"), (1, "ready 3\n")) == ["ready 1"]


def test_the_match_hook_joins_a_line_that_comes_in_pieces() -> None:
    """Pieces of the other stream in between do not matter."""
    pieces = [(1, "begin\nre"), (2, "oth"), (1, "ad"), (2, "er\n"), (1, "y now\nmore")]
    assert _matched(*pieces) == ["ready now"]


def test_the_match_hook_keeps_the_streams_apart() -> None:
    """Half a line of each is no line."""
    assert _matched((1, "rea"), (2, "dy\n"), (1, "d\n")) == []


def test_the_match_hook_looks_at_stderr_too() -> None:
    """Many services write there."""
    assert _matched((2, "ready\n")) == ["ready"]


@pytest.mark.parametrize("level", [3, 7, 20, 30])
def test_the_match_hook_looks_at_output_only(level: int) -> None:
    """Messages for others are no lines of output."""
    assert _matched((level, "ready\n")) == []


def test_the_match_hook_sees_an_unfinished_last_line_at_the_end() -> None:
    """It will not be finished any more."""
    assert _matched((1, "one\nready")) == ["ready"]


def test_the_match_hook_does_not_match_across_lines() -> None:
    """A pattern sees one line."""
    assert _matched((1, "a\nb\n"), pattern=r"a\s*b") == []
    assert _matched((1, "xa\na\n"), pattern=r"^a$") == ["a"]


def test_the_match_hook_sees_each_attempts_last_line_by_itself() -> None:
    """What an attempt leaves unfinished is not the beginning of what the next one writes."""
    lines: list[str] = []
    hook = MatchHook("ready", lines.append)
    hook.started(1)
    hook.message(JobMessage(1, "rea", 0))
    hook.started(2)
    hook.message(JobMessage(1, "dy\n", 0))
    assert lines == []
    hook.message(JobMessage(1, "ready", 0))
    hook.started(3)
    assert lines == ["ready"]


def test_the_match_hook_keeps_little_of_an_endless_line() -> None:
    """A line without end is looked at when it ends, as far as it was kept."""
    assert _matched(*[(1, "x" * 60_000)] * 5, (1, "ready\n"), pattern="ready$")
    assert _matched((1, "ready"), *[(1, "x" * 60_000)] * 5, (1, "\n")) == []


# -- bad ones -------------------------------------------------------------------------------------


def _raise(_: object) -> None:
    raise ValueError("a hook's own fault")


@pytest.mark.parametrize(
    "hook",
    [
        lambda: PidHook(_raise),
        lambda: StreamHook(_raise),
        lambda: ExitHook(_raise),
        lambda: MatchHook("out", _raise),
        lambda: DelayHook(0, lambda: _raise(0)),
    ],
    ids=["pid", "stream", "exit", "match", "delay"],
)
async def test_a_hook_that_raises_harms_nobody(quick: QuickBench, hook: Callable[[], Hook]) -> None:
    """The job has its result, and other hooks of it are told all."""
    diary = Diary()
    job = quick.manager.start(TOOL, hook(), diary)
    process = await quick.process(job)
    process.write(b"out\n")
    process.exit()
    assert (await job.wait(5)).stdout == "out\n"
    await eventually_async(lambda: len(diary.told) == 3)
    assert diary.told == [
        ("started", process.pid),
        ("message", 1, "out\n"),
        ("finished", JobState.SUCCESS),
    ]


async def test_a_hook_that_raised_is_told_on(quick: QuickBench) -> None:
    """Its error was for one message only."""
    seen: list[str] = []

    def act(message: JobMessage) -> None:
        seen.append(message.text)
        raise ValueError("again")

    job = quick.manager.start(TOOL, StreamHook(act))
    await quick.process(job)
    for number in range(5):
        quick.manager.output.say(quick.manager.jobs[job.id], Level.PUBLIC, str(number))
    await eventually_async(lambda: len(seen) == 5)


async def test_a_hook_that_sleeps_slows_neither_its_job_nor_other_hooks(
    quick: QuickBench,
) -> None:
    """It loses the oldest messages, and hears the rest and the end in order when it wakes up."""
    wake, begun = threading.Event(), threading.Event()
    heard: list[str] = []

    class Sleeper(Hook):
        def started(self, pid: int) -> None:
            begun.set()
            wake.wait(30)

        def message(self, message: JobMessage) -> None:
            heard.append(message.text)

        def finished(self, result: JobResult) -> None:
            heard.append("end")

    diary = Diary()
    job = quick.manager.start(TOOL, Sleeper(), diary)
    process = await quick.process(job)
    await eventually_async(begun.is_set)
    row = quick.manager.jobs[job.id]
    clock = time.monotonic()
    for number in range(900):
        quick.manager.output.say(row, Level.PUBLIC, str(number))
    await eventually_async(lambda: len(diary.told) == 901, "the other hook is told")
    for number in range(900, 3000):
        quick.manager.output.say(row, Level.PUBLIC, str(number))
    process.exit()
    assert (await job.wait(20)).state is JobState.SUCCESS
    assert time.monotonic() - clock < 20  # the one sleeps for thirty
    assert heard == []
    [dropped] = [courier.dropped for hook, courier in row.hooks if hook is not diary]
    assert dropped == 2000
    wake.set()
    await eventually_async(lambda: heard and heard[-1] == "end")
    assert heard == [*(str(number) for number in range(2000, 3000)), "end"]


async def test_two_hundred_hooks_that_sleep_leave_threads_for_others(quick: QuickBench) -> None:
    """A hook of another job is told at once."""
    wake, asleep = threading.Event(), [0]

    def sleep(pid: int) -> None:
        asleep[0] += 1
        wake.wait(30)

    for _ in range(100):
        quick.manager.start(TOOL, PidHook(sleep), PidHook(sleep))
    await eventually_async(lambda: asleep[0] == 200, "all of them sleep")
    diary = Diary()
    quick.manager.start(Command("core.ping"), diary)
    await eventually_async(lambda: diary.told, "another is told")
    wake.set()
