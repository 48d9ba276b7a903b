"""Handlers of all jobs and hooks of one: told in order, and never waited for."""

from __future__ import annotations

import re
import threading
import time

import pytest

from corex_node.manager.hooks import (
    DelayHook,
    ExitHook,
    Hook,
    MatchHook,
    PidHook,
    StreamHook,
)
from corex_node.manager.messages import JobMessage
from corex_node.manager.observers import Handler
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench


def _script(text: str) -> Command:
    return Command("bash", {"script": text})


class _Told(Handler):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, object]] = []

    def starting(self, command: Command) -> None:
        self.events.append(("starting", command.job_id, None))

    def message(self, command: Command, message: JobMessage) -> None:
        self.events.append(("message", command.job_id, message.text))

    def finished(self, command: Command, result: JobResult) -> None:
        self.events.append(("finished", command.job_id, result.state))

    def statistics(self, job_id: str, text: str) -> None:
        self.events.append(("statistics", job_id, text))


async def test_a_handler_is_told_of_every_job_in_order(bench: Bench) -> None:
    """Start, messages of any level, samples and the result."""
    told = _Told()
    bench.manager.add_handler(told)
    job = bench.script("echo out; echo '10::jobs:1|A|id=x'")
    await bench.result(job)
    await eventually_async(lambda: len(told.events) == 5)
    assert told.events == [
        ("starting", job.id, None),
        ("message", job.id, "out\n"),
        ("statistics", job.id, "jobs:1|A|id=x"),
        ("message", job.id, "jobs:1|A|id=x"),
        ("finished", job.id, JobState.SUCCESS),
    ]


async def test_a_handler_that_is_removed_is_told_no_more(bench: Bench) -> None:
    """Others are."""
    gone, stays = _Told(), _Told()
    bench.manager.add_handler(gone)
    bench.manager.add_handler(stays)
    bench.manager.remove_handler(gone)
    await bench.result(bench.script("true"))
    await eventually_async(lambda: len(stays.events) == 2)
    assert gone.events == []


async def test_samples_of_code_reach_handlers(bench: Bench) -> None:
    """`aggregate` is told as a sample of nobody's."""
    told = _Told()
    bench.manager.add_handler(told)
    bench.manager.aggregate("D", "net.bytes", 5, "eth0", {"kind": "phys"})
    await eventually_async(lambda: told.events)
    [(kind, job, text)] = told.events
    assert (kind, job) == ("statistics", "")
    assert str(text).startswith("net.bytes:5")
    assert "|D|" in str(text)


class _Hanging(Handler):
    """Hangs until it is let go, then fails."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.messages = 0

    def starting(self, command: Command) -> None:
        self.go.wait(30)
        raise RuntimeError("an observer's own fault")

    def message(self, command: Command, message: JobMessage) -> None:
        self.messages += 1


async def test_an_observer_that_hangs_and_fails_stops_nobody(bench: Bench) -> None:
    """Jobs end as ever, other observers are told; it loses messages and gets the rest later."""
    hanging, told = _Hanging(), _Told()
    bench.manager.add_handler(hanging)
    bench.manager.add_handler(told)
    begun = time.monotonic()
    job = bench.script("for i in $(seq 3000); do echo 7::$i; done")
    assert (await bench.result(job)).state is JobState.SUCCESS
    await eventually_async(lambda: told.events and told.events[-1][0] == "finished")
    assert time.monotonic() - begun < 20
    assert hanging.messages == 0
    hanging.go.set()
    await eventually_async(lambda: hanging.messages >= 1000, "the newest messages are told")
    assert hanging.messages < 3000


async def test_a_hook_that_does_nothing(bench: Bench) -> None:
    """The base of all hooks is one."""
    handle = bench.manager.start(_script("echo out"), Hook())
    assert (await handle.wait(10)).ok


async def test_a_delay_hook_fires_once_after_its_delay(bench: Bench) -> None:
    """Not before, not again in a later run, and not for a run that was shorter."""
    fired: list[float] = []
    begun = time.monotonic()
    command = Command("bash", {"script": "sleep 0.4; exit 1"}, max_restart=2)
    late = DelayHook(0.2, lambda: fired.append(time.monotonic() - begun))
    never = DelayHook(30, lambda: fired.append(-1))
    await bench.manager.start(command, late, never).wait(20)
    assert len(fired) == 1
    assert fired[0] >= 0.2


async def test_an_exit_hook_has_the_result(bench: Bench) -> None:
    """It fires once, at the end of the job and not of a run."""
    results: list[JobResult] = []
    command = Command("bash", {"script": "exit 3"}, max_restart=2)
    await bench.manager.start(command, ExitHook(results.append)).wait(10)
    await eventually_async(lambda: results)
    assert [(result.code, result.attempts) for result in results] == [(1003, 2)]


async def test_a_pid_hook_has_each_pid(bench: Bench) -> None:
    """One for each run."""
    pids: list[int] = []
    command = Command("bash", {"script": "echo $$; exit 1"}, max_restart=2)
    result = await bench.manager.start(command, PidHook(pids.append)).wait(10)
    await eventually_async(lambda: len(pids) == 2)
    assert [str(pid) for pid in pids] == result.stdout.split()


async def test_a_stream_hook_has_every_message(bench: Bench) -> None:
    """Of any level."""
    messages: list[JobMessage] = []
    script = "echo out; echo 9::bad"
    await bench.manager.start(_script(script), StreamHook(messages.append)).wait(10)
    await eventually_async(lambda: len(messages) == 2)
    assert [(message.level, message.text) for message in messages] == [(1, "out\n"), (9, "bad")]


@pytest.mark.parametrize(
    "script, line",
    [
        ("echo not; echo ready 1; echo ready 2", "ready 1"),
        ("printf 're'; sleep 0.25; echo 'ady 3 '", "ready 3 "),  # cut in two messages
        ("echo ready 4 >&2", "ready 4"),
        ("printf 'ready 5'", "ready 5"),  # no end of line
    ],
)
async def test_a_match_hook_fires_once_on_a_line(bench: Bench, script: str, line: str) -> None:
    """On the first line of stdout or stderr that the expression is found in, however it was cut."""
    lines: list[str] = []
    done: list[JobResult] = []
    match = MatchHook(r"ready \d", lines.append)
    await bench.manager.start(_script(script), match, ExitHook(done.append)).wait(10)
    await eventually_async(lambda: done and lines)
    assert lines == [line]


async def test_a_line_is_of_one_attempt(bench: Bench) -> None:
    """What one run left open is no part of the first line of the next."""
    lines: list[str] = []
    done: list[JobResult] = []
    command = Command("bash", {"script": "echo ready; printf starting; exit 1"}, max_restart=2)
    await bench.manager.start(
        command, MatchHook("^startingready$", lines.append), ExitHook(done.append)
    ).wait(10)
    await eventually_async(lambda: done)
    assert lines == []


def test_an_expression_that_cannot_be_compiled() -> None:
    """It is found when the hook is made."""
    with pytest.raises(re.error):
        MatchHook("(", print)
