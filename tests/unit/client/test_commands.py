"""Commands of many over one connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from corex.transport import commands as transport_commands
from corex.transport.commands import TOGETHER, AsyncCommands, Commands
from corex_shared.errors import StoreRefusedError, StoreUnavailableError
from tests.helpers.eventually import eventually

READ, PUSH, SCRIPT = ("LINDEX", "k", 0), ("RPUSH", "k", b"x"), ("EVALSHA", "s", 0)


class _Server:
    """Answers each command with itself; its first round trip takes until `go`."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.go = threading.Event()
        self.error: Callable[[list[Any]], BaseException | None] = lambda _: None

    def __call__(self, calls: list[Any]) -> list[Any]:
        self.batches.append(calls)
        assert self.go.wait(10)
        error = self.error(calls)
        if error is not None:
            raise error
        refused = StoreRefusedError("no")
        return [refused if call[0] == "LLEN" else call for call in calls]

    async def asked(self, calls: list[Any]) -> list[Any]:
        return await asyncio.to_thread(self, calls)


async def _ask_at_once(server: _Server, *asked: list[Any]) -> list[Any]:
    """Ask while a first round trip is under way."""
    commands = AsyncCommands(server.asked)
    first = asyncio.create_task(commands.run([("PING",)]))
    others = [asyncio.create_task(commands.run(calls)) for calls in asked]
    await asyncio.to_thread(eventually, lambda: server.batches)
    server.go.set()
    await first
    answers: list[Any] = await asyncio.gather(*others, return_exceptions=True)
    return answers


async def test_what_is_asked_meanwhile_goes_together() -> None:
    """Thousands who ask during one round trip have their answers after the next few."""
    server = _Server()
    asked = [[("LINDEX", f"k{number}", 0)] for number in range(TOGETHER + 1)]
    assert await _ask_at_once(server, *asked) == asked
    assert [len(batch) for batch in server.batches] == [1, TOGETHER, 1]


async def test_only_what_is_harmless_shares_a_round_trip() -> None:
    """Reads go with reads, pushes with pushes, a script alone; nothing overtakes."""
    server = _Server()
    await _ask_at_once(server, [READ], [READ, READ], [PUSH], [PUSH], [SCRIPT], [SCRIPT], [READ])
    assert server.batches[1:] == [[READ] * 3, [PUSH] * 2, [SCRIPT], [SCRIPT], [READ]]


async def test_a_refusal_is_the_error_of_who_asked() -> None:
    """Neighbours in the round trip have their answers."""
    one, two, three = await _ask_at_once(_Server(), [READ], [READ, ("LLEN", "k")], [READ])
    assert (one, three) == ([READ], [READ])
    assert isinstance(two, StoreRefusedError)


async def test_a_lost_connection_is_the_error_of_all_in_the_round_trip() -> None:
    """Each gets an error of its own; what is asked afterwards is tried anew."""
    server = _Server()
    server.error = lambda calls: StoreUnavailableError("gone") if calls[0] == READ else None
    one, two, three = await _ask_at_once(server, [READ], [READ], [PUSH])
    assert isinstance(one, StoreUnavailableError)
    assert isinstance(two, StoreUnavailableError)
    assert one is not two
    assert three == [PUSH]


async def test_one_who_is_cancelled_leaves_the_others_alone() -> None:
    """A coroutine that is cancelled while it waits for its answer takes no other with it."""
    server = _Server()
    commands = AsyncCommands(server.asked)
    first, second = (asyncio.create_task(commands.run([SCRIPT])) for _ in range(2))
    await asyncio.to_thread(eventually, lambda: server.batches)
    first.cancel()
    server.go.set()
    assert await second == [SCRIPT]
    with pytest.raises(asyncio.CancelledError):
        await first


def _in_threads(server: _Server, commands: Commands, *asked: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        first = pool.submit(commands.run, [("PING",)])
        eventually(lambda: server.batches)
        others = []
        for count, calls in enumerate(asked, start=1):
            others.append(pool.submit(commands.run, calls))
            eventually(lambda count=count: commands.waiting == count)  # type: ignore[misc]
        server.go.set()
        first.exception()
        return [other.exception() or other.result() for other in others]


def test_threads_share_round_trips() -> None:
    """The same for threads: whoever is next sends for all that wait."""
    server = _Server()
    answers = _in_threads(server, Commands(server), [READ], [READ, ("LLEN", "k")], [READ], [SCRIPT])
    assert (answers[0], answers[2], answers[3]) == ([READ], [READ], [SCRIPT])
    assert isinstance(answers[1], StoreRefusedError)
    assert [len(batch) for batch in server.batches] == [1, 4, 1]


def test_an_interrupted_thread_does_not_leave_others_waiting() -> None:
    """Ctrl-C in the thread that sends for others is their lost answer, and nothing worse."""
    server = _Server()
    server.error = lambda calls: KeyboardInterrupt() if calls[0] == READ else None
    answers = _in_threads(server, Commands(server), [READ], [READ], [PUSH])
    interrupted = [answer for answer in answers if isinstance(answer, KeyboardInterrupt)]
    assert len(interrupted) == 1  # whichever of the three happened to send
    others = [answer for answer in answers[:2] if not isinstance(answer, KeyboardInterrupt)]
    assert {type(answer) for answer in others} == {StoreUnavailableError}
    assert answers[2] == [PUSH] or answers[2] is interrupted[0]


def test_ctrl_c_before_anything_was_sent_is_no_crash_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They only learn that there is no answer."""
    commands = Commands(lambda calls: ["OK"] * len(calls))
    take = transport_commands._take  # noqa: SLF001 - an interruption comes anywhere

    def take_both(waiting: Any) -> Any:
        take(waiting)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(transport_commands, "_take", take_both)
    with ThreadPoolExecutor(2) as pool:
        with commands._turn:  # noqa: SLF001 - both are to wait
            both = [pool.submit(commands.run, [READ]) for _ in range(2)]
            eventually(lambda: commands.waiting == 2)
        errors = {type(one.exception(10)) for one in both}
    assert errors == {KeyboardInterrupt, StoreUnavailableError}
