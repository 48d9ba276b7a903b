"""Built-ins of each kind, run by the manager."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import msgspec
import pytest

from corex_node.manager.context import Context
from corex_node.manager.limits import Limits
from corex_node.manager.registry import NoArguments, Registry
from corex_shared.errors import ConflictError
from corex_shared.states import JobState
from tests.unit.node.manager.bench import ALL, Bench


class Number(msgspec.Struct):
    """Arguments of the commands of these tests."""

    number: int = 0


def _registry() -> Registry:
    registry = Registry()

    @registry.command("inline", Number, inline=True)
    def inline(arguments: Number) -> int:
        return arguments.number + 1

    @registry.command("thread", Number)
    def thread(arguments: Number) -> list[object]:
        return [arguments.number, threading.current_thread() is threading.main_thread()]

    @registry.command("async", Number)
    async def coroutine(arguments: Number) -> int:
        await asyncio.sleep(0)
        return arguments.number + 2

    @registry.command("waits")
    async def waits(_: NoArguments) -> None:
        await asyncio.Event().wait()

    @registry.command("conflict", inline=True)
    def conflict(_: NoArguments) -> None:
        raise ConflictError("in use")

    @registry.command("wrong")
    async def wrong(_: NoArguments) -> None:
        raise KeyError("oops")

    @registry.command("formless", inline=True)
    def formless(_: NoArguments) -> object:
        return object()

    @registry.command("tells")
    def tells(context: Context, _: NoArguments) -> None:
        context.message("watch out", 7)

    return registry


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A manager with the commands of these tests."""
    made = Bench(_registry(), Limits())
    made.start()
    yield made
    await made.close()


@pytest.mark.parametrize("command, answer", [("inline", 8), ("thread", [7, False]), ("async", 9)])
async def test_an_answer_of_each_kind(bench: Bench, command: str, answer: object) -> None:
    """Inline, in a thread, or as a coroutine: the answer is JSON."""
    result = await bench.result(bench.push(command, {"number": 7}))
    assert (result.state, result.level, json.loads(result.data)) == (JobState.SUCCESS, 20, answer)


@pytest.mark.parametrize(
    "command, code, text",
    [
        ("conflict", 409, "in use"),
        ("wrong", 500, "KeyError: 'oops'"),
        ("formless", 500, "TypeError: a value of type object has no form in JSON"),
    ],
)
async def test_an_error(bench: Bench, command: str, code: int, text: str) -> None:
    """A command's own error has its code; any other is a 500; the manager goes on."""
    result = await bench.result(bench.push(command))
    assert (result.state, result.code, json.loads(result.data)) == (JobState.ERROR, code, text)


@pytest.mark.parametrize("number", [15, 9])
async def test_one_that_waits_can_be_killed(bench: Bench, number: int) -> None:
    """A coroutine is cancelled."""
    job = bench.push("waits")
    bench.manager.kill(job.id, number)
    assert (await bench.result(job)).state is JobState.KILLED


async def test_one_that_waits_has_its_time(bench: Bench) -> None:
    """`max_time` holds for built-ins too."""
    result = await bench.result(bench.push("waits", max_time=0.1))
    assert (result.state, result.code) == (JobState.TIMEOUT, 504)


async def test_it_may_send_messages(bench: Bench) -> None:
    """From any thread, before its result."""
    job = bench.push("tells", demand=ALL)
    await bench.result(job)
    assert bench.messages == [(job.id, 7, "watch out")]
