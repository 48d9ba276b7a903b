"""Threads for functions that may wait, and that nobody can stop.

`concurrent.futures.ThreadPoolExecutor` joins its threads as the interpreter ends: one function that
hangs (a dead network file system, a bug) would keep the agent from ending. These are daemons.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 10.0
_Call = tuple[Future[Any], Callable[[], Any]]


class DaemonThreads(Executor):
    """Runs calls in threads, which are made as they are needed and end when they are idle."""

    def __init__(self, most: int, name: str) -> None:
        """Begin without a thread.

        Args:
            most: threads at once; further calls wait.
            name: which the threads bear.
        """
        self._most = most
        self._name = name
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unclaimed = 0  # calls less idle threads
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function called.

        Raises:
            RuntimeError: it was shut down.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("no new calls after the shutdown")
            self._unclaimed += 1
            more = self._unclaimed > 0 and self._threads < self._most
            self._threads += more
            self._calls.put((future, lambda: fn(*args, **kwargs)))
        if more:
            self._add_thread()
        return future

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        except RuntimeError:  # the system has none left: a thread that is there will take the call
            with self._lock:
                self._threads -= 1
                if not self._threads:
                    raise

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

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._unclaimed -= 1
            try:
                future, call = self._calls.get(timeout=_IDLE_SECONDS)
            except Empty:
                if self._leave():
                    return
                continue
            _run(future, call)

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
    except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
        future.set_exception(error)
    else:
        future.set_result(answer)
