"""One connection for the commands of a client, whoever asks.

What is asked while a round trip is under way goes along with the next one. So ten thousand who
ask at once need one connection and few round trips. Only what cannot harm its neighbours shares
one: reads with reads, pushes with pushes. Anything else goes alone, since scripts that a server
does not know have their whole batch repeated.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from corex_shared.errors import StoreError, StoreRefusedError, StoreUnavailableError

TOGETHER = 2000
"""Commands in one round trip, about; one who asks for more has them at once."""

_READS = frozenset({"EXISTS", "HGET", "HGETALL", "LINDEX", "LLEN", "LPOS", "TIME", "ZSCORE"})
_PUSHES = frozenset({"RPUSH"})
_ALONE = 0


def _kind(calls: Sequence[object]) -> int:
    """Tell which commands share a round trip: those of one kind, unless it is 0."""
    names = {call[0] if isinstance(call, tuple) else None for call in calls}
    for kind, members in enumerate((_READS, _PUSHES), start=1):
        if names <= members:
            return kind
    return _ALONE


class _Asked:
    """The commands of one who asks, and what came of them."""

    def __init__(self, calls: Sequence[Any]) -> None:
        self.calls = calls
        self.kind = _kind(calls)
        self.answers: list[Any] = []
        self.error: BaseException | None = None
        self.done = False

    def answered(self, answers: list[Any]) -> None:
        """Take the answers; the first refusal among them is an error of this one only."""
        self.answers = answers
        self.error = next((a for a in answers if isinstance(a, StoreRefusedError)), None)
        self.done = True

    def failed(self, error: BaseException) -> None:
        """Take an error of the whole round trip."""
        # Each who asks raises one of its own: a traceback grows with every raise.
        self.error = type(error)(str(error)) if isinstance(error, StoreError) else error
        self.done = True

    def value(self) -> list[Any]:
        """Return the answers.

        Raises:
            StoreError: there are none, or one is an error.
        """
        if self.error is not None:
            raise self.error
        return self.answers


Entry = TypeVar("Entry", bound=_Asked)


def _take(waiting: deque[Entry]) -> list[Entry]:
    """Take those that go together, from the front of the queue."""
    batch = [waiting.popleft()]
    count = len(batch[0].calls)
    while waiting and batch[0].kind and waiting[0].kind == batch[0].kind and count < TOGETHER:
        count += len(waiting[0].calls)
        batch.append(waiting.popleft())
    return batch


def _share_out(batch: Sequence[_Asked], answers: list[Any]) -> None:
    start = 0
    for asked in batch:
        end = start + len(asked.calls)
        asked.answered(answers[start:end])
        start = end


class Commands:
    """For any number of threads. Whoever finds nobody sending sends for all that wait."""

    def __init__(self, execute: Callable[[list[Any]], list[Any]]) -> None:
        """Prepare.

        Args:
            execute: runs commands in one round trip; refusals are values among its answers.
        """
        self._execute = execute
        self._waiting: deque[_Asked] = deque()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for the next round trip."""
        return len(self._waiting)

    def run(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands in one round trip, perhaps with those of others.

        Raises:
            StoreError: Redis cannot be reached or refused one of these.
        """
        asked = _Asked(calls)
        with self._lock:
            self._waiting.append(asked)
        with self._turn:
            while not asked.done:
                if self._waiting:
                    self._send()
                else:  # it was taken by one who was interrupted before all else
                    asked.failed(StoreUnavailableError("interrupted"))
        return asked.value()

    def _send(self) -> None:
        batch: list[_Asked] = []
        try:
            with self._lock:
                batch = _take(self._waiting)
            _share_out(batch, self._execute([call for asked in batch for call in asked.calls]))
        except StoreError as error:
            for asked in batch:
                asked.failed(error)
        except BaseException as error:
            # Ctrl-C is for this thread alone; the others only learn that their answer is lost.
            for asked in batch:
                asked.failed(StoreUnavailableError(f"interrupted: {error!r}"))
            raise


class _Awaited(_Asked):
    """What a coroutine asks."""

    def __init__(self, calls: Sequence[Any]) -> None:
        super().__init__(calls)
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class AsyncCommands:
    """For any number of coroutines of one event loop; a task sends while anybody waits."""

    def __init__(self, execute: Callable[[list[Any]], Awaitable[list[Any]]]) -> None:
        """Prepare.

        Args:
            execute: runs commands in one round trip; refusals are values among its answers.
        """
        self._execute = execute
        self._waiting: deque[_Awaited] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, calls: Sequence[Any]) -> list[Any]:
        """Run commands in one round trip, perhaps with those of others.

        One who is cancelled meanwhile does not keep the others from being answered; what it
        asked may be done all the same.

        Raises:
            StoreError: Redis cannot be reached or refused one of these.
        """
        asked = _Awaited(calls)
        self._waiting.append(asked)
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="corex-commands")
        await asked.heard
        return asked.value()

    async def _serve(self) -> None:
        batch: list[_Awaited] = []
        try:
            while self._waiting:
                batch = _take(self._waiting)
                calls = [call for asked in batch for call in asked.calls]
                try:
                    _share_out(batch, await self._execute(calls))
                except StoreError as error:
                    for asked in batch:
                        asked.failed(error)
                _wake(batch)
        except BaseException as error:
            for asked in (*batch, *self._waiting):
                if not asked.done:
                    asked.failed(StoreUnavailableError(f"interrupted: {error!r}"))
            _wake([*batch, *self._waiting])
            self._waiting.clear()
            raise
        finally:
            self._task = None


def _wake(batch: Sequence[_Awaited]) -> None:
    for asked in batch:
        if not asked.heard.done():
            asked.heard.set_result(None)
