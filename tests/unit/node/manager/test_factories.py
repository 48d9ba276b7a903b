"""Jobs of which factories make what runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from corex_node.manager.executions import Surroundings
from corex_node.manager.hooks import ExitHook
from corex_node.manager.jobs import Job
from corex_node.manager.outcome import Outcome
from corex_node.manager.registry import NoArguments
from corex_node.process.usage import Usage
from corex_shared.errors import (
    BadRequestError,
    InternalError,
)
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import ALL, QuickBench

TOOL = Command("core.system", {"name": "tool"})


class Plain:
    """The least that can run for a job."""

    def __init__(self, job: Job, around: Surroundings) -> None:
        self.job, self.around = job, around
        self.graces: list[float] = []

    def start(self) -> None:
        self.around.began(self.job)

    def stop(self, grace: float) -> None:
        self.graces.append(grace)
        self.end(Outcome(JobState.ERROR, 500))

    def end(self, outcome: Outcome) -> None:
        self.around.ended(self.job, outcome)


class Able(Plain):
    """One with all abilities."""

    pid = 4_000_000_000

    def __init__(self, job: Job, around: Surroundings) -> None:
        super().__init__(job, around)
        self.signals: list[int] = []
        self.resumed = 0

    def signal(self, number: int) -> bool:
        self.signals.append(number)
        return number != 3

    def resume(self) -> None:
        self.resumed += 1

    def usage(self) -> Usage:
        assert threading.current_thread() is not threading.main_thread()
        return Usage(1.5, 2, 3, 4)


async def test_a_factory_makes_what_runs(quick: QuickBench) -> None:
    """Its outcome is the job's; the registry is not asked."""
    told: list[JobResult] = []
    job = quick.manager.start(
        Command("anything", {"any": "argument"}), ExitHook(told.append), factory=Plain
    )
    await eventually_async(lambda: job.process)
    process = job.process
    assert isinstance(process, Plain)
    assert (job.pid, await job.usage()) == (0, Usage())
    assert process.around.wrote(process.job, 1, b"one\ntw") is True
    assert process.around.wrote(process.job, 1, b"o\n") is True
    process.end(Outcome(JobState.SUCCESS, 0, data='"x"', level=20))
    result = await job.wait(5)
    assert (result.state, result.command, result.stdout, result.data) == (
        JobState.SUCCESS,
        "anything",
        "one\ntwo\n",
        '"x"',
    )
    await eventually_async(lambda: told == [result])


async def test_a_process_without_abilities_is_stopped_only(quick: QuickBench) -> None:
    """What it cannot do is passed over: other signals do nothing, INT ends it at once."""
    job = quick.manager.start(Command("x"), factory=Plain)
    await eventually_async(lambda: job.process)
    process = job.process
    assert isinstance(process, Plain)
    assert job.signal(10) is True
    assert process.graces == []
    job.signal(2)
    assert process.graces == [0]
    assert (await job.wait(5)).state is JobState.KILLED


async def test_the_abilities_of_a_process_are_used(quick: QuickBench) -> None:
    """Signals reach it, it may write on, its process and usage are told."""
    made: list[Able] = []

    @quick.manager.registry.factory("able")
    def make(job: Job, around: Surroundings) -> Able:
        made.append(Able(job, around))
        return made[-1]

    asked = quick.push("able", {"x": 1}, demand=ALL)
    await eventually_async(lambda: made)
    job, [process] = quick.manager.job(asked.id), made
    assert job.pid == 4_000_000_000
    assert await job.usage() == Usage(1.5, 2, 3, 4)
    job.signal(10)
    job.signal(2)
    assert (process.signals, process.graces) == ([10, 2], [])
    quick.congested_now = True
    assert process.around.wrote(asked, 1, b"much\n") is False
    quick.congested_now = False
    quick.manager.output.resume()
    assert process.resumed == 1
    job.signal(3)  # it does not take that one
    assert (process.signals, process.graces) == ([10, 2, 3], [0])
    assert (await job.wait(5)).state is JobState.KILLED


async def test_the_time_of_a_custom_process_is_bounded(quick: QuickBench) -> None:
    """As of any other."""
    job = quick.manager.start(Command("x", max_time=0.05, grace=7), factory=Plain)
    await eventually_async(lambda: job.process)
    process = job.process
    assert isinstance(process, Plain)
    assert (await job.wait(5)).state is JobState.TIMEOUT
    assert process.graces == [7]


async def test_arguments_of_a_registered_factory_are_checked(quick: QuickBench) -> None:
    """If it says what they are."""
    quick.manager.registry.factory("none", NoArguments)(Plain)
    result = await quick.manager.start(Command("none", {"x": 1})).wait(5)
    assert (result.code, result.data) == (400, '"x: the arguments contain unknown field `x`"')


class Twice(Plain):
    """Tells its end twice."""

    def start(self) -> None:
        super().start()
        self.end(Outcome(JobState.SUCCESS, 0))
        self.end(Outcome(JobState.ERROR, 500))


class Late(Plain):
    """Tells its end, then fails to start."""

    def start(self) -> None:
        super().start()
        self.end(Outcome(JobState.SUCCESS, 0))
        raise InternalError("too late")


class Unable(Plain):
    """Cannot be started."""

    def start(self) -> None:
        raise InternalError("not today")


def _nothing(job: Job, around: Surroundings) -> Any:
    del job, around


def _raising(job: Job, around: Surroundings) -> Any:
    raise BadRequestError("x: not like that")


@pytest.mark.parametrize(
    "factory, code, data",
    [
        (Twice, 0, ""),
        (Late, 0, ""),
        (Unable, 500, '"not today"'),
        (_nothing, 500, '"TypeError: the factory of x made nothing"'),
        (_raising, 400, '"x: not like that"'),
    ],
)
@pytest.mark.parametrize("runs", [1, 3])
async def test_a_factory_that_breaks_the_rules_harms_itself_only(
    quick: QuickBench, factory: Callable[..., Any], code: int, data: str, runs: int
) -> None:
    """Its job has one result, and others go on."""
    job = quick.manager.start(Command("x", max_restart=runs), factory=factory)
    other = quick.manager.start(TOOL)
    result = await job.wait(5)
    assert (result.code, result.data) == (code, data)
    assert result.attempts == (1 if code == 0 else runs)
    (await quick.process(other)).exit()
    assert (await other.wait(5)).ok
    assert quick.manager.running == 0


class Unstoppable(Plain):
    """Raises when it is to be stopped."""

    def stop(self, grace: float) -> None:
        raise ValueError("never")

    signal = stop


async def test_a_process_that_cannot_be_stopped_keeps_none_from_being_stopped(
    quick: QuickBench,
) -> None:
    """Killing all, a timeout, the agent's end: others are reached."""
    bad = quick.manager.start(Command("x", max_time=0.02), factory=Unstoppable)
    other = quick.manager.start(TOOL)
    process = await quick.process(other)
    await asyncio.sleep(0.03)
    quick.manager.kill_all(10)
    await eventually_async(lambda: process.signals == [10])
    quick.manager.kill_all()
    assert (await other.wait(5)).state is JobState.KILLED
    quick.manager.abandon()
    made = bad.process
    assert isinstance(made, Unstoppable)
    made.end(Outcome(JobState.SUCCESS, 0))
    assert (await bad.wait(5)).state is JobState.TIMEOUT
