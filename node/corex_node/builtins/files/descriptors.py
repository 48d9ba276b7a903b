"""Files that commands have opened and not closed.

* Names are long and random: whoever does not know one cannot use it.
* A file is used by one command at a time. Only so many may wait for one that hangs, on a dead
  network file system perhaps: threads are not all to be lost to it.
* Only so many are open at once, and one that nobody has used for long is closed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from corex_node.builtins.files.open_file import OpenFile
from corex_node.builtins.files.open_mode import OpenMode
from corex_node.manager.threads import DaemonThreads
from corex_shared.errors import CommandError, NotFoundError, ServiceUnavailableError

MOST_OPEN = 256
IDLE_SECONDS = 300.0
_MOST_USERS = 16
"""Commands that use one file or wait for it."""
_NAME_BYTES = 16
_SWEEPS = 10
"""How often idle files are looked for in the time that one may be idle."""

_log = structlog.get_logger()


class _Entry:
    """An open file.

    Attributes:
        file: which is closed by whoever finds that it is `closed` and has no `users`.
        turn: held by the command that uses it.
        users: commands that use it or wait for their turn.
        used_at: when one last did.
        closed: no longer in the table.
    """

    __slots__ = ("closed", "file", "turn", "used_at", "users")

    def __init__(self, file: OpenFile, now: float) -> None:
        self.file = file
        self.turn = threading.Lock()
        self.users = 0
        self.used_at = now
        self.closed = False


class DescriptorTable:
    """All descriptors of a node. For use from any thread."""

    def __init__(
        self,
        most: int = MOST_OPEN,
        idle: float = IDLE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none.

        Args:
            most: that are open at once.
            idle: seconds after which one that nobody uses is closed.
            now: tells the time, in seconds.
        """
        self._most = most
        self._idle = idle
        self._now = now
        self._lock = threading.Lock()  # never held while something may wait
        self._entries: dict[str, _Entry] = {}
        self._opening = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._entries)

    async def run(self) -> None:
        """Close what is idle until cancelled, then all: a component of the agent."""
        loop = asyncio.get_running_loop()
        closer = DaemonThreads(1, "files")  # closing may wait, for a network file system
        try:
            while True:
                await asyncio.sleep(self._idle / _SWEEPS)
                await loop.run_in_executor(closer, self.close_idle)
        finally:
            closer.submit(self.close_all)
            closer.shutdown()

    def open(self, path: str, mode: OpenMode, perm: int) -> str:
        """Open a file; see `OpenFile`.

        Returns:
            Its descriptor.

        Raises:
            ServiceUnavailableError: too many are open.
            CommandError: it cannot be opened.
        """
        self._reserve()
        file: OpenFile | None = None
        descriptor = secrets.token_hex(_NAME_BYTES)
        try:
            file = OpenFile(path, mode, perm)
        finally:
            with self._lock:
                self._opening -= 1
                if file is not None:
                    self._entries[descriptor] = _Entry(file, self._now())
        return descriptor

    @contextmanager
    def using(self, descriptor: str) -> Iterator[OpenFile]:
        """Have a file to oneself, when those who came before are done with it.

        Raises:
            NotFoundError: there is no such descriptor.
            ServiceUnavailableError: too many wait for it.
        """
        entry = self._take(descriptor)
        try:
            with entry.turn:
                if entry.closed:
                    raise _unknown(descriptor)
                yield entry.file
        finally:
            with self._lock:
                entry.users -= 1
                entry.used_at = self._now()
                is_last = entry.closed and not entry.users
            if is_last:
                _close_quietly(entry.file)

    def close(self, descriptor: str) -> None:
        """Close a descriptor, after the command that uses it; one that is not known is closed.

        Raises:
            CommandError: what was written may not have arrived.
        """
        with self._lock:
            unused = self._drop([descriptor] if descriptor in self._entries else [])
        for file in unused:
            file.close()

    def close_idle(self) -> None:
        """Close those that nobody has used for long."""
        with self._lock:
            unused = self._drop(
                [name for name, entry in self._entries.items() if self._is_idle(entry)]
            )
        for file in unused:
            _close_quietly(file)

    def close_all(self) -> None:
        """Close all, those in use as soon as they are not."""
        with self._lock:
            unused = self._drop(list(self._entries))
        for file in unused:
            _close_quietly(file)

    def _reserve(self) -> None:
        """See that one more may be opened, and count it."""
        if len(self._entries) + self._opening >= self._most:
            self.close_idle()
        with self._lock:
            if len(self._entries) + self._opening >= self._most:
                raise ServiceUnavailableError(f"file: {self._most} files are open already")
            self._opening += 1

    def _take(self, descriptor: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(descriptor)
            if entry is None or self._is_idle(entry):
                raise _unknown(descriptor)
            if entry.users >= _MOST_USERS:
                raise ServiceUnavailableError(f"fd: {entry.users} commands use it already")
            entry.users += 1
            return entry

    def _is_idle(self, entry: _Entry) -> bool:
        return not entry.users and self._now() - entry.used_at >= self._idle

    def _drop(self, descriptors: list[str]) -> list[OpenFile]:
        """Take some out of the table, with the lock held; return files for the caller to close."""
        entries = [self._entries.pop(descriptor) for descriptor in descriptors]
        for entry in entries:
            entry.closed = True
        return [entry.file for entry in entries if not entry.users]


def _unknown(descriptor: str) -> NotFoundError:
    return NotFoundError(f"fd: {descriptor[:64]!r}: there is no such descriptor, or no longer")


def _close_quietly(file: OpenFile) -> None:
    """Close a file that nobody waits for."""
    try:
        file.close()
    except CommandError as error:
        _log.warning("files.close_failed", reason=str(error))
