"""A node with files, and the Redis before it, as a plan sees them: no server, no time."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import msgspec

from corex.core import Core
from corex.effects import Block, Do, Effect, Emit, Plan, ReadInbox, Run, Sleep, advance
from corex_shared.codec import decode_command, encode_data
from corex_shared.errors import (
    BadRequestError,
    CommandError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from corex_shared.models import Command, JobResult
from corex_shared.scripts import whole
from corex_shared.states import JobState, Level
from tests.unit.client.playing import Clock, make_core, packed

Fault = Callable[[Command], str | JobResult | None]
"""What becomes of a command: None as it should, one of `FAULTS`, a result of the test's, or "held":
its result comes when the test says so."""

FAULTS = ("before", "after", "forgotten", "not now", "late")
"""Its agent dies before it runs, or after, and with it all that is open; Redis loses it; the node
says "not now"; its result comes when nothing else does."""

_INBOX_LIMIT = 8192
_MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "r+": os.O_RDWR}
_MODES["x"] = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class SimulatedNode:
    """Answers the effects of plans.

    Attributes:
        core: of the plans.
        clock: which goes on when something is waited for.
        commands: all that were run, in order.
        open: descriptors that are open.
        stored: results that are in Redis.
        outages: how many of the next round trips fail.
        answers: whether the node is there.
        largest_store: bytes of results that were in Redis at once.
    """

    def __init__(self, fault: Fault = lambda _: None) -> None:
        """Begin with nothing open.

        Args:
            fault: says what becomes of each command.
        """
        self.clock = Clock()
        self.core: Core = make_core(self.clock)
        self.fault = fault
        self.commands: list[Command] = []
        self.open: dict[str, int] = {}
        self.stored: dict[str, bytes] = {}
        self.largest_store = 0
        self.outages = 0
        self.answers = True
        self._lists: list[tuple[str, bytes]] = []
        self._late: list[JobResult] = []
        self._held: list[JobResult] = []
        self._opened = 0

    def close(self) -> None:
        """Close what is open."""
        for fd in self.open.values():
            os.close(fd)
        self.open.clear()

    def names(self) -> list[str]:
        """Names of the commands that were run."""
        return [command.command.removeprefix("filesystem.") for command in self.commands]

    def waiting(self) -> list[Command]:
        """Commands that are in the node's lists."""
        return [decode_command(payload)[0] for _, payload in self._lists]

    def release(self) -> None:
        """Let the results come that were held."""
        self._deliver(*self._held)
        self._held.clear()

    # -- effects ------------------------------------------------------------------------------

    def drive(self, plan: Plan[Any], *, effects: int | None = None) -> Any:
        """Run a plan to its end, or leave it after a number of effects."""
        for _ in self.steps(plan):
            if effects is not None:
                effects -= 1
                if effects < 0:
                    plan.close()
                    return None
        return self.value

    def steps(self, plan: Plan[Any]) -> Generator[Effect, None, None]:
        """Run a plan, giving each effect before it is answered; then `value` is the plan's."""
        self.value: Any = None
        reply: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = advance(plan, reply, error)
            except StopIteration as stop:
                self.value = stop.value
                return
            yield effect
            reply = error = None
            try:
                reply = self.answer(effect)
            except (StoreError, OSError) as failure:
                error = failure

    def answer(self, effect: Effect) -> Any:
        """Do what a plan asks."""
        match effect:
            case Run(calls):
                self._reach()
                return [self._call(*whole(call)) for call in calls]
            case ReadInbox(waiter, seconds):
                self._reach()
                self._serve()
                if not waiter.ready:
                    self._deliver(*self._late)
                    self._late.clear()
                    self.clock.now += seconds
                return None
            case Sleep(seconds):
                self.clock.now += seconds
                return None
            case Do(function):
                return function()
            case Block() | Emit() | _:
                raise AssertionError(f"not expected: {effect}")

    def _reach(self) -> None:
        if self.outages:
            self.outages -= 1
            self.clock.now += 0.1
            raise StoreUnavailableError("refused")

    def _call(self, name: Any, key: Any, *arguments: Any) -> Any:
        match name:
            case "RPUSH":
                self._lists += [(key, payload) for payload in arguments]
                return len(self._lists)
            case "LREM":
                before = len(self._lists)
                self._lists = [item for item in self._lists if item != (key, arguments[1])]
                return before - len(self._lists)
            case "LPOS":
                return 0 if (key, arguments[0]) in self._lists else None
            case "LINDEX":
                return self.stored.get(key)
            case "UNLINK":
                return int(self.stored.pop(key, None) is not None)
            case "HGETALL":
                held = any(key == self.core.keys.state(result.id) for result in self._held)
                return {b"stage": b"running"} if held else {}
            case _:
                raise AssertionError(f"not expected: {name}")

    # -- commands -----------------------------------------------------------------------------

    def _serve(self) -> None:
        if not self.answers:
            return
        lists, self._lists = self._lists, []
        for _, payload in lists:
            command, _ = decode_command(payload)
            self._take(command)
        self.largest_store = max(self.largest_store, sum(map(len, self.stored.values())))

    def _take(self, command: Command) -> None:
        fault = self.fault(command)
        if isinstance(fault, JobResult):
            self._deliver(msgspec.structs.replace(fault, id=command.job_id))
        elif fault == "forgotten":
            pass
        elif fault == "before":
            self.close()
            self._deliver(self._result(command, JobState.LOST, 503))
        elif fault == "not now":
            self._deliver(self._result(command, JobState.ERROR, 503))
        elif fault == "after":
            self._run(command)
            self.close()
            self._deliver(self._result(command, JobState.LOST, 503))
        elif fault == "held":
            self._held.append(self._run(command))
        elif fault == "late":
            self._late.append(self._run(command))
        else:
            self._deliver(self._run(command))

    def _deliver(self, *results: JobResult) -> None:
        for result in results:
            payload = packed(result)
            self.stored[self.core.keys.result(result.id)] = payload
            small = len(payload) <= _INBOX_LIMIT
            hint = payload if small else msgspec.msgpack.encode({"id": result.id})
            self.core.mailbox.put([hint])

    def _run(self, command: Command) -> JobResult:
        self.commands.append(command)
        name = command.command.removeprefix("filesystem.")
        try:
            answer = getattr(self, f"do_{name}")(**(command.arguments or {}))
        except CommandError as error:
            return self._result(command, JobState.ERROR, error.code, str(error))
        except FileNotFoundError as error:
            return self._result(command, JobState.ERROR, 404, str(error))
        except FileExistsError as error:
            return self._result(command, JobState.ERROR, 409, str(error))
        except OSError as error:
            return self._result(command, JobState.ERROR, 500, str(error))
        return self._result(command, JobState.SUCCESS, 0, answer)

    def _result(
        self, command: Command, state: JobState, code: int, answer: Any = None
    ) -> JobResult:
        return JobResult(
            id=command.job_id,
            command=command.command,
            node="n1",
            state=state,
            code=code,
            data=encode_data(answer),
            level=Level.JSON,
        )

    def _fd(self, fd: str) -> int:
        if fd not in self.open:
            raise NotFoundError(f"fd: {fd}: not open")
        return self.open[fd]

    def do_open(self, file: str, mode: str, perm: int = 0o644) -> str:
        if mode not in _MODES:
            raise BadRequestError("mode: not known")
        self._opened += 1
        fd = f"d{self._opened}"
        self.open[fd] = os.open(file, _MODES[mode], perm)
        return fd

    def do_read(self, fd: str, size: int, offset: int) -> str:
        return base64.b64encode(os.pread(self._fd(fd), size, offset)).decode()

    def do_write(self, fd: str, block: str, offset: int) -> None:
        os.pwrite(self._fd(fd), base64.b64decode(block), offset)

    def do_close(self, fd: str) -> None:
        if fd in self.open:
            os.close(self.open.pop(fd))

    def do_stat(self, path: str) -> dict[str, Any]:
        found = Path(path).stat()
        return {
            "size": found.st_size,
            "mode": found.st_mode & 0o7777,
            "is_dir": Path(path).is_dir(),
            "is_link": Path(path).is_symlink(),
            "mtime": found.st_mtime_ns // 1_000_000,
            "user": "u",
            "group": "g",
        }

    def do_checksum(self, path: str, algorithm: str) -> str:
        return hashlib.new(algorithm, Path(path).read_bytes()).hexdigest()

    def do_chmod(self, path: str, mode: int, recursive: bool) -> None:
        assert not recursive
        Path(path).chmod(mode)

    def do_move(self, path: str, destination: str) -> None:
        Path(path).replace(destination)

    def do_remove(self, path: str) -> None:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink()
