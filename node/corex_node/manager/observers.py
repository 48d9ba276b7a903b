"""Those who watch jobs: told in threads, in order, and never waited for.

An observer that raises is logged and told on; one that is slow loses messages, oldest first, and
nobody else does. No observer can stop or slow a job.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import structlog

from corex_node.manager.messages import JobMessage
from corex_shared.errors import ServiceUnavailableError
from corex_shared.models import Command, JobResult

_MESSAGES_WAITING = 1000
"""Messages that wait for one observer at most."""
_EVENTS_WAITING = 10_000
"""Other events that wait for one observer at most."""
_AT_ONCE = 100
"""Events told to an observer before its thread is given to another."""

_log = structlog.get_logger()

_Call = Callable[[], object]
_Line = deque[tuple[int, _Call]]  # numbered in order


class Courier:
    """Tells one observer what happens, in order, in a thread that is not the event loop's.

    Attributes:
        dropped: events that it was never told.
    """

    __slots__ = (
        "_events",
        "_executor",
        "_lock",
        "_messages",
        "_numbers",
        "_under_way",
        "dropped",
        "name",
    )

    def __init__(self, executor: Executor, name: str) -> None:
        """Tell nothing yet.

        Args:
            executor: whose threads are used.
            name: of the observer, for the log.
        """
        self._executor = executor
        self._lock = threading.Lock()
        self._messages: _Line = deque()
        self._events: _Line = deque()
        self._numbers = itertools.count()
        self._under_way = False
        self.dropped = 0
        self.name = name

    def tell(self, call: _Call, *, is_message: bool = False) -> None:
        """Have a call made after all earlier ones; messages give way when too much waits."""
        with self._lock:
            if not self._make_room(is_message):
                return
            line = self._messages if is_message else self._events
            line.append((next(self._numbers), call))
            begins = not self._under_way
            self._under_way = True
        if begins:
            self._run()

    def _make_room(self, is_message: bool) -> bool:
        if is_message and len(self._messages) >= _MESSAGES_WAITING:
            self._messages.popleft()
            self._count(1)
        elif not is_message and len(self._events) >= _EVENTS_WAITING:
            self._count(1)
            return False
        return True

    def _count(self, lost: int) -> None:
        before = self.dropped
        self.dropped += lost
        if self.dropped.bit_length() > before.bit_length():  # 1, 2, 4, 8 …
            _log.warning("observer.slow", observer=self.name, dropped=self.dropped)

    def _run(self) -> None:
        try:
            self._executor.submit(self._tell_some)
        except (RuntimeError, ServiceUnavailableError):  # the manager is closed, or no thread left
            with self._lock:
                self._count(len(self._messages) + len(self._events))
                self._messages.clear()
                self._events.clear()
                self._under_way = False

    def _tell_some(self) -> None:
        for _ in range(_AT_ONCE):
            with self._lock:
                call = self._take()
                if call is None:
                    self._under_way = False
                    return
            try:
                call()
            except Exception:  # noqa: BLE001 - an observer's error is its own
                _log.warning("observer.failed", observer=self.name, exc_info=True)
        self._run()

    def _take(self) -> _Call | None:
        """Take what came first."""
        lines = [line for line in (self._events, self._messages) if line]
        if not lines:
            return None
        return min(lines, key=_first_number).popleft()[1]


def _first_number(line: _Line) -> int:
    return line[0][0]


class Handler:
    """Observes all jobs of a manager; to be derived from. Every method is called in a thread."""

    def starting(self, command: Command) -> None:
        """Hear that a job was taken and will run."""

    def message(self, command: Command, message: JobMessage) -> None:
        """Hear a message of a job, of any level."""

    def finished(self, command: Command, result: JobResult) -> None:
        """Hear the result of a job."""

    def statistics(self, job_id: str, text: str) -> None:
        """Hear samples, a line each: `key:value|A|tag=v,…`; `job_id` is empty for the node's."""


class Observers:
    """All handlers of one manager."""

    def __init__(self, executor: Executor) -> None:
        """Begin with none."""
        self._executor = executor
        self._handlers: list[tuple[Handler, Courier]] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._handlers)

    def add(self, handler: Handler) -> None:
        """Tell a handler from now on."""
        self._handlers.append((handler, Courier(self._executor, type(handler).__name__)))

    def remove(self, handler: Handler) -> None:
        """Tell a handler no more, but for what waits for it."""
        self._handlers = [entry for entry in self._handlers if entry[0] is not handler]

    def starting(self, command: Command) -> None:
        """Tell of a job."""
        for handler, courier in self._handlers:
            courier.tell(partial(handler.starting, command))

    def message(self, command: Command, message: JobMessage) -> None:
        """Tell of a message."""
        for handler, courier in self._handlers:
            courier.tell(partial(handler.message, command, message), is_message=True)

    def finished(self, command: Command, result: JobResult) -> None:
        """Tell of a result."""
        for handler, courier in self._handlers:
            courier.tell(partial(handler.finished, command, result))

    def statistics(self, job_id: str, text: str) -> None:
        """Tell of samples."""
        for handler, courier in self._handlers:
            courier.tell(partial(handler.statistics, job_id, text), is_message=True)
