"""Threads for functions that may wait, and that nobody can stop.

`concurrent.futures.ThreadPoolExecutor` joins its threads as the interpreter ends: one function that
hangs (a dead network file system, a bug) would keep the agent from ending. These are daemons. And
one that hangs would take a thread from all others for good: a call that is given up makes room for
another thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from corex_shared.errors import ServiceUnavailableError

T = TypeVar("T")

_IDLE = 10.0
"""Seconds after which a thread without a call ends."""
_Call = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads(Executor):
    """Runs calls in threads, which are made as they are needed and end when they are idle.

    An idle thread may oversleep its time: `SimpleQueue.get` waits without end when another thread
    takes the call that woke it in the moment in which its time is over. It still serves.
    """

    def __init__(self, most: int, name: str, idle: float = _IDLE) -> None:
        """Begin without a thread.

        Args:
            most: threads at once; further calls wait. As many again may be at calls that were
                given up.
            name: which the threads bear.
            idle: seconds after which a thread without a call ends.
        """
        self._most = most
        self._name = name
        self._idle = idle
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0  # those that serve
        self._unclaimed = 0  # calls less idle threads
        self._given_up: set[Future[Any]] = set()  # run, and no longer count
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a call waits or runs that was not given up."""
        with self._lock:
            return self._threads + self._unclaimed > 0

    @property
    def held(self) -> int:
        """Threads at calls that were given up and have not returned."""
        return len(self._given_up)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function called.

        Raises:
            RuntimeError: it was shut down.
            ServiceUnavailableError: there is no thread at all, and none can be made.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("no new calls after the shutdown")
            if self._unclaimed >= 0:
                self._grow()
            if not self._threads:
                held = len(self._given_up)
                raise ServiceUnavailableError(f"no thread is free: {held} calls do not return")
            self._unclaimed += 1
            self._calls.put((future, lambda: fn(*args, **kwargs)))
        return future

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function and wait for what it returns; a cancelled call is given up."""
        future = self.submit(function, *args)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self.give_up(future)
            raise

    def give_up(self, future: Future[Any]) -> None:
        """Wait for a call no longer: it is not begun, or its thread serves nobody else any more."""
        if future.cancel():
            return
        with self._lock:
            if future.done() or future in self._given_up:
                return
            self._given_up.add(future)
            self._threads -= 1
            if self._unclaimed > 0:
                self._grow()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; threads end with what they are at. Never waits."""
        del wait
        self._closed = True
        while cancel_futures:
            try:
                future, _ = self._calls.get_nowait()
            except Empty:
                return
            future.cancel()

    def _grow(self) -> None:
        """Add a thread if there may be one more; the lock is held."""
        if self._threads == self._most or self._threads + len(self._given_up) >= 2 * self._most:
            return
        with suppress(RuntimeError):  # the system has no more
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
            self._threads += 1

    def _serve(self) -> None:
        while self._serve_once():
            pass

    def _serve_once(self) -> bool:
        """Serve a call, once there is one; return whether the thread is to go on."""
        with self._lock:
            self._unclaimed -= 1
        try:
            future, call = self._calls.get(timeout=self._idle)
        except Empty:
            return not self._leave()
        _run(future, call)
        with self._lock:
            return future not in self._given_up or self._return(future)

    def _return(self, future: Future[Any]) -> bool:
        """Serve again after a call that was given up, if a call waits for a thread."""
        self._given_up.remove(future)
        wanted = self._unclaimed > 0 and self._threads < self._most
        self._threads += wanted
        return wanted

    def _leave(self) -> bool:
        """End this thread, unless a call came in the last moment."""
        with self._lock:
            self._unclaimed += 1
            if not self._calls.empty():
                return False
            self._threads -= 1
            return True


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = call()
    except StopIteration as error:  # no future of asyncio takes it
        future.set_exception(RuntimeError(f"StopIteration: {error}"))
    except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
        future.set_exception(error)
    else:
        future.set_result(answer)
