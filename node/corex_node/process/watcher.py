"""One epoll for all descriptors of all children, watched by the event loop as one descriptor.

asyncio's own reader registration makes a handle and a selector key for each descriptor; a child
has three or four of them and often lives for a millisecond, so that cost would be most of a
job's. Here a registration is one system call and a dictionary entry, and one wake-up of the loop
serves every descriptor that is ready.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

Callback = Callable[[], None]

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
_MOST_AT_ONCE = 256
_LATER = 0.004


class Watcher:
    """Calls back when a descriptor is ready.

    A descriptor that is closed and whose number is used again within one wake-up does not hear
    of its predecessor's events.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Register with the loop, which calls from then on."""
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._later: dict[int, Callback] = {}
        self._later_timer: asyncio.TimerHandle | None = None
        self._dispatching = False
        self._fresh: set[int] = set()  # added while dispatching: no event of this round is theirs
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def add(self, fd: int, callback: Callback, events: int = READABLE) -> None:
        """Call back whenever the descriptor is ready, until `remove`."""
        self._callbacks[fd] = callback
        if self._dispatching:
            self._fresh.add(fd)
        self._epoll.register(fd, events)

    def add_later(self, fd: int, callback: Callback) -> None:
        """Do the same for what is readable, beginning within a few milliseconds.

        A descriptor that is removed before costs no system call: the pipes of a short program
        are read once, at its end.
        """
        self._later[fd] = callback
        if self._later_timer is None:
            self._later_timer = self._loop.call_later(_LATER, self._add_those)

    def _add_those(self) -> None:
        self._later_timer = None
        later, self._later = self._later, {}
        for fd, callback in later.items():
            self.add(fd, callback)

    def remove(self, fd: int) -> None:
        """Stop watching a descriptor; to be called before it is closed."""
        if self._later.pop(fd, None) is not None:
            return
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def __len__(self) -> int:
        """How many descriptors are watched."""
        return len(self._callbacks)

    def close(self) -> None:
        """Leave the loop; descriptors stay as they are."""
        self._loop.remove_reader(self._epoll.fileno())
        if self._later_timer is not None:
            self._later_timer.cancel()
        self._callbacks.clear()
        self._epoll.close()

    def _dispatch(self) -> None:
        callbacks, fresh = self._callbacks, self._fresh
        self._dispatching = True
        try:
            for fd, _ in self._epoll.poll(0, _MOST_AT_ONCE):
                callback = callbacks.get(fd)
                if callback is not None and fd not in fresh:
                    callback()
        finally:
            self._dispatching = False
            fresh.clear()
