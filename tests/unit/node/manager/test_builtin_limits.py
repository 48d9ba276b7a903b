"""Built-ins that hang, are deaf, misbehave: they harm themselves only."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from corex_node.builtins import core, jobs
from corex_node.manager import table
from corex_node.manager.context import Context
from corex_node.manager.limits import Limits
from corex_node.manager.registry import NoArguments, Registry
from corex_shared import errors
from corex_shared.states import JobState, Level
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import ALL, QUICK, Bench, QuickBench

Log = list[MutableMapping[str, Any]]

ERRORS = [
    errors.BadRequestError,
    errors.ForbiddenError,
    errors.NotFoundError,
    errors.NotAcceptableError,
    errors.ConflictError,
    errors.PreconditionFailedError,
    errors.InternalError,
    errors.ServiceUnavailableError,
]


class Stage:
    """What the commands of these tests wait for, and what they write down."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.begun = 0
        self.notes: list[object] = []
        self.task: asyncio.Task[None]
        self.registry = Registry()
        core.register(self.registry)
        jobs.register(self.registry)
        self._register(self.registry)

    def _register(self, registry: Registry) -> None:
        registry.command("hang")(self.hang)
        registry.command("watch")(self.watch)
        registry.command("late")(self.late)
        registry.command("leave")(self.leave)
        registry.command("deaf")(self.deaf)
        registry.command("tidy")(self.tidy)
        registry.command("fail", inline=True)(self.fail)
        registry.command("fail.thread")(self.fail)
        registry.command("exit", inline=True)(self.exit)
        registry.command("exit.thread")(self.exit)
        registry.command("exit.async")(self.exit_later)
        registry.command("tell")(self.tell)
        registry.command("quick")(lambda _: "quick")

    def hang(self, _: NoArguments) -> str:
        self.begun += 1
        self.wake.wait(30)
        return "awake"

    def watch(self, context: Context) -> None:
        self.begun += 1
        while not context.cancelled:
            time.sleep(0.005)
        context.message("too late")
        self.notes.append("seen")

    def late(self, context: Context) -> None:
        self.begun += 1
        while self.begun < 2:
            time.sleep(0.005)
        if context.cancelled:
            context.message("of the first")
            self.notes.append("sent")
        else:
            self.wake.wait(30)
            context.message("of the second")

    async def leave(self, context: Context) -> None:
        async def talk() -> None:
            while not self.wake.is_set():
                context.message("still here")
                self.notes.append("sent")
                await asyncio.sleep(0.001)

        self.task = asyncio.create_task(talk())
        await asyncio.sleep(0)

    async def deaf(self, _: NoArguments) -> None:
        self.begun += 1
        while not self.wake.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                self.notes.append("deaf")

    async def tidy(self, context: Context) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            context.message("tidying")
            await asyncio.sleep(0.05)
            context.message("tidy")

    def fail(self, kind: str) -> None:
        others: dict[str, Exception] = {
            "KeyError": KeyError(),
            "StopIteration": StopIteration(),
            "Surrogate": ValueError("a name: \udcff"),
            "Hostile": HostileError(),
        }
        raise others[kind] if kind in others else getattr(errors, kind)("x: why")

    def exit(self, _: NoArguments) -> None:
        sys.exit(3)

    async def exit_later(self, _: NoArguments) -> None:
        sys.exit(3)

    def tell(self, context: Context, text: str, level: int = 3, count: int = 1) -> int:
        for number in range(count):
            context.message(text.format(number), level)
            self.begun += 1
        return count


class HostileError(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.fixture(autouse=True)
def logged() -> Iterator[Log]:
    """What is logged, and shown nowhere; whatever happens, an attempt has one end."""
    with capture_logs() as entries:
        yield entries
    assert [entry for entry in entries if entry["event"] == "job.ended_twice"] == []


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The commands of these tests; whatever hangs is let go in the end."""
    made = Stage()
    yield made
    made.wake.set()


@pytest.fixture
async def bench(stage: Stage) -> AsyncIterator[Bench]:
    """A manager of them."""
    made = QuickBench(stage.registry, Limits(grace=0.05, backoff=QUICK))
    made.start()
    yield made
    await made.close()


# -- threads --------------------------------------------------------------------------------------


async def test_a_thread_that_hangs_is_ended_by_its_time(bench: Bench, stage: Stage) -> None:
    """TIMEOUT; what it says when it wakes up is nobody's."""
    job = bench.push("hang", max_time=0.1)
    result = await bench.result(job)
    assert (result.state, result.code) == (JobState.TIMEOUT, 504)
    stage.wake.set()
    await eventually_async(lambda: not bench.manager.threads.held)
    assert bench.results[job.id] == result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
async def test_a_thread_that_hangs_can_be_killed(bench: Bench, stage: Stage, number: int) -> None:
    """At once, whatever the signal."""
    job = bench.push("hang")
    await eventually_async(lambda: stage.begun)
    bench.manager.kill(job.id, number)
    assert bench.results[job.id].state is JobState.KILLED


async def test_a_function_in_a_thread_sees_that_it_was_stopped(bench: Bench, stage: Stage) -> None:
    """It can look and return; what it sends then is not sent."""
    job = bench.push("watch", max_time=0.05, demand=ALL)
    assert (await bench.result(job)).state is JobState.TIMEOUT
    await eventually_async(lambda: stage.notes == ["seen"])
    assert bench.messages == []


async def test_a_thread_of_an_earlier_attempt_says_nothing_for_a_later_one(
    bench: Bench, stage: Stage
) -> None:
    """A job that runs again after a timeout has its own messages only."""
    job = bench.push("watch", max_time=0.05, max_restart=2, demand=ALL)
    await bench.result(job)
    await eventually_async(lambda: stage.notes == ["seen"] * 2)
    assert [level for _, level, _ in bench.messages] == [Level.JOB]


async def test_a_thread_of_an_earlier_attempt_says_nothing_beside_a_later_one(
    bench: Bench, stage: Stage
) -> None:
    """What it sends while another attempt runs is not sent."""
    job = bench.push("late", max_time=0.3, max_restart=2, demand=ALL)
    await eventually_async(lambda: stage.notes == ["sent"])
    stage.wake.set()
    await bench.result(job)
    texts = [text for _, level, text in bench.messages if level != Level.JOB]
    assert texts == ["of the second"]


async def test_what_a_built_in_leaves_running_says_nothing_after_its_end(
    bench: Bench, stage: Stage
) -> None:
    """Not between two runs, and not after the result."""
    job = bench.push("leave", recurring_period=60, demand=ALL)
    await eventually_async(lambda: len(stage.notes) >= 5)
    bench.manager.kill(job.id)
    await eventually_async(lambda: len(stage.notes) >= 10)
    stage.wake.set()
    await stage.task
    texts = [text for _, level, text in bench.messages if level != Level.JOB]
    assert texts == ["still here"]


async def test_three_hundred_that_hang_block_nobody(bench: Bench, stage: Stage) -> None:
    """Each has had its time; others that need a thread go on, and are listed."""
    for _ in range(3):
        hanging = [bench.push("hang", max_time=0.3) for _ in range(100)]
        results = await bench.all_results(hanging)
        assert {result.state for result in results} == {JobState.TIMEOUT}
    assert stage.begun == 300
    assert (await bench.result(bench.push("quick"), 5)).data == '"quick"'


async def test_those_that_hang_in_every_slot_leave_threads_for_control(stage: Stage) -> None:
    """With more slots than threads were, all run, and what needs no slot does too."""
    made = QuickBench(stage.registry, Limits(max_jobs=300))
    made.start()
    hanging = [made.push("hang") for _ in range(300)]
    try:
        await eventually_async(lambda: stage.begun == 300, "all hang")
        assert made.manager.capacity() == 0
        assert (await made.result(made.push("quick", control=True), 5)).data == '"quick"'
    finally:
        stage.wake.set()
    results = await made.all_results(hanging)
    assert {result.data for result in results} == {'"awake"'}
    await made.close()


async def test_too_many_that_never_return_are_told_instead_of_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all threads are lost, a command that needs one is a 503; others go on."""
    monkeypatch.setattr(table, "_THREADS", 5)
    monkeypatch.setattr(table, "_BESIDE", 0)
    made = QuickBench(stage.registry, Limits(max_jobs=5))
    made.start()
    for number in range(1, 11):
        job = made.push("hang")
        await eventually_async(lambda: stage.begun == number, "it hangs")  # noqa: B023
        made.manager.kill(job.id)
    result = await made.result(made.push("quick"), 5)
    assert (result.state, result.code) == (JobState.ERROR, 503)
    assert "10 calls do not return" in result.data
    assert made.results[made.push("core.ping").id].state is JobState.SUCCESS
    stage.wake.set()
    await eventually_async(lambda: not made.manager.threads.held)
    assert (await made.result(made.push("quick"), 5)).data == '"quick"'
    await made.close()


# -- coroutines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how, state", [("kill", JobState.KILLED), ("time", JobState.TIMEOUT)], ids=["kill", "time"]
)
async def test_a_coroutine_is_cancelled_and_may_tidy_up(
    bench: Bench, stage: Stage, how: str, state: JobState
) -> None:
    """It ends when it has; another kill does not disturb it."""
    job = bench.push("tidy", grace=5, demand=ALL, max_time=0.05 if how == "time" else None)
    await eventually_async(lambda: stage.begun)
    if how == "kill":
        bench.manager.kill(job.id)
    await eventually_async(lambda: bench.messages)
    bench.manager.kill(job.id)
    assert (await bench.result(job)).state is state
    assert [text for _, _, text in bench.messages] == ["tidying", "tidy"]


async def test_a_coroutine_that_does_not_listen_ends_after_the_grace(
    bench: Bench, stage: Stage
) -> None:
    """It goes on, and its job does not."""
    job = bench.push("deaf", grace=0.1)
    await eventually_async(lambda: stage.begun)
    begun = time.monotonic()
    bench.manager.kill(job.id)
    assert (await bench.result(job)).state is JobState.KILLED
    assert 0.1 <= time.monotonic() - begun < 5  # the grace of those who say nothing
    assert stage.notes == ["deaf"]
    stage.wake.set()
    await asyncio.sleep(0.06)


async def test_a_coroutine_that_does_not_listen_ends_at_once_when_killed(
    bench: Bench, stage: Stage
) -> None:
    """KILL does not wait for the grace that TERM gave."""
    job = bench.push("deaf", grace=60)
    await eventually_async(lambda: stage.begun)
    bench.manager.kill(job.id)
    bench.manager.kill(job.id, signal.SIGKILL)
    assert (await bench.result(job)).state is JobState.KILLED
    stage.wake.set()
    await asyncio.sleep(0.06)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fail", "fail.thread"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
async def test_a_coded_error_has_its_code(
    bench: Bench, logged: Log, command: str, error: type[errors.CommandError]
) -> None:
    """And no traceback anywhere: it is an answer."""
    result = await bench.result(bench.push(command, {"kind": error.__name__}))
    assert (result.state, result.code, result.level) == (JobState.ERROR, error.code, 20)
    assert isinstance(json.loads(result.data), str)
    assert [entry for entry in logged if entry["log_level"] != "debug"] == []


@pytest.mark.parametrize("command", ["fail", "fail.thread"])
@pytest.mark.parametrize(
    "kind, text",
    [
        ("KeyError", "KeyError: "),
        ("StopIteration", "StopIteration: "),
        ("Surrogate", "ValueError: a name: \\udcff"),
        ("Hostile", "HostileError: it cannot be shown"),
    ],
)
async def test_any_other_error_is_a_500(
    bench: Bench, logged: Log, command: str, kind: str, text: str
) -> None:
    """With its class and message; its traceback is in the log only."""
    job = bench.push(command, {"kind": kind})
    result = await bench.result(job)
    assert (result.state, result.code, json.loads(result.data)) == (JobState.ERROR, 500, text)
    [entry] = [entry for entry in logged if entry["event"] == "builtin.failed"]
    assert (entry["job"], entry["command"]) == (job.id, command)
    frames = traceback.extract_tb(entry["exc_info"][2])
    assert frames[-1].filename == __file__


@pytest.mark.parametrize("command", ["exit", "exit.thread", "exit.async"])
async def test_one_that_would_end_the_program_does_not(bench: Bench, command: str) -> None:
    """It is an error like any other."""
    result = await bench.result(bench.push(command))
    assert (result.code, json.loads(result.data)) == (500, "SystemExit: 3")
    assert bench.results[bench.push("core.ping").id].state is JobState.SUCCESS


# -- messages -------------------------------------------------------------------------------------


async def test_messages_from_a_thread_keep_their_order(bench: Bench) -> None:
    """All of them, before the result."""
    job = bench.push("tell", {"text": "{}", "count": 500}, demand=ALL)
    await bench.result(job)
    assert [text for _, _, text in bench.messages] == [str(number) for number in range(500)]


async def test_a_thread_is_held_up_while_messages_go_out_slowly(bench: Bench, stage: Stage) -> None:
    """It sends no more until there is room."""
    bench.congested_now = True
    job = bench.push("tell", {"text": "{}", "count": 50}, demand=ALL)
    await eventually_async(lambda: bench.messages)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert (len(bench.messages), stage.begun) == (1, 0)
    bench.congested_now = False
    bench.manager.output.resume()
    assert (await bench.result(job)).state is JobState.SUCCESS
    assert len(bench.messages) == 50


async def test_one_that_is_held_up_can_be_killed(bench: Bench) -> None:
    """Its thread ends when messages go out again."""
    bench.congested_now = True
    job = bench.push("tell", {"text": "{}", "count": 50}, demand=ALL)
    await eventually_async(lambda: bench.messages)
    bench.manager.kill(job.id)
    assert bench.results[job.id].state is JobState.KILLED
    bench.congested_now = False
    bench.manager.output.resume()
    await eventually_async(lambda: not bench.manager.threads.held)
    assert len(bench.messages) == 1


@pytest.mark.parametrize(
    "level, streams, data, critical",
    [
        (1, ["x\n", ""], "1", ""),
        (2, ["", "x\n"], "1", ""),
        (9, ["", ""], "1", "x\n"),
        (20, ["", ""], "1", ""),
        (3, ["", ""], "1", ""),
    ],
)
async def test_a_built_ins_messages_become_part_of_its_result_as_a_programs_do(
    bench: Bench, level: int, streams: list[str], data: str, critical: str
) -> None:
    """Output is kept, and what is critical; its answer is its data whatever it sent."""
    job = bench.push("tell", {"text": "x\n", "level": level})
    result = await bench.result(job)
    assert list(result.streams) == streams
    assert (result.data, result.critical) == (data, critical)
    assert (result.stdout_bytes, result.stderr_bytes) == tuple(len(text) for text in streams)


async def test_a_text_without_a_form_on_the_wire_is_mended(bench: Bench) -> None:
    """A lone surrogate, as in the name of a file, is replaced."""
    await bench.result(bench.push("tell", {"text": "a\udcffb"}, demand=ALL))
    assert [text for _, _, text in bench.messages] == ["a?b"]


@pytest.mark.parametrize("level", [0, 12, 99, -1])
async def test_a_level_that_does_not_exist_is_the_commands_error(bench: Bench, level: int) -> None:
    """Nothing is sent."""
    result = await bench.result(bench.push("tell", {"text": "x", "level": level}, demand=ALL))
    assert (result.code, json.loads(result.data)) == (
        500,
        f"ValueError: {level} is not a valid Level",
    )
    assert bench.messages == []


async def test_a_message_that_is_no_text_is_the_commands_error(stage: Stage) -> None:
    """It does not reach those who would have to write it."""

    @stage.registry.command("bytes")
    def send(context: Context) -> None:
        context.message(b"x")  # type: ignore[arg-type]

    made = QuickBench(stage.registry, Limits())
    made.start()
    result = await made.result(made.push("bytes", demand=ALL))
    assert json.loads(result.data) == "TypeError: text: bytes: a string expected"
    assert made.messages == []
    await made.close()
