"""One child process, as the agent sees it: its pipes read and written, its end noticed.

The process itself is a spawner's (see `spawner`). All of it happens in callbacks of the `Watcher`
and of the spawner's link: no task, no thread, nothing that waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import Protocol

from corex_node.process.exit_status import ExitStatus
from corex_node.process.pipes import Pipes
from corex_node.process.program import ProgramSpec
from corex_node.process.spawner_link import Link
from corex_node.process.watcher import WRITABLE, Watcher
from corex_shared.errors import CommandError

STDOUT = 1
STDERR = 2
_READ_SIZE = 64 * 1024
_READS_AT_ONCE = 4
_DRAIN_READS = 64
"""Reads after the exit: more than the largest pipe of an unprivileged process (1 MiB) holds."""


class ChildOwner(Protocol):
    """Who hears of a child."""

    def child_started(self) -> None:
        """It runs."""

    def child_wrote(self, stream: int, data: bytes) -> bool:
        """Take output (stream 1 or 2); False asks for no more until `Child.resume`."""

    def child_failed(self, error: CommandError) -> None:
        """It could not be started, or was lost; nothing more is heard."""

    def child_ended(self, status: ExitStatus, survivors: int) -> None:
        """It has ended, all its output was passed on, and but for survivors nothing is left."""


class Child:
    """A program. Every descriptor that `start` opens is closed at its end."""

    __slots__ = (
        "_linger",
        "_linger_timer",
        "_link",
        "_loop",
        "_number",
        "_outputs",
        "_owner",
        "_paused",
        "_status",
        "_stdin",
        "_stdin_left",
        "_stop_by",
        "_stop_timer",
        "_stopped",
        "_watcher",
        "pid",
    )

    def __init__(self, watcher: Watcher, link: Link, owner: ChildOwner, linger: float) -> None:
        """Prepare a child; nothing runs yet.

        Args:
            watcher: calls back when a descriptor is ready.
            link: to the spawner that starts it.
            owner: hears of output and end.
            linger: seconds after the exit during which others that hold the pipes are heard.
        """
        self._loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._link = link
        self._owner = owner
        self._linger = linger
        self._number = 0
        self._outputs: dict[int, int] = {}  # descriptor → stream, while open
        self._paused = False
        self._stdin: int | None = None
        self._stdin_left = memoryview(b"")
        self._status: ExitStatus | None = None
        self._stop_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._stopped = False  # its end was asked for
        self._stop_by = 0.0  # until when all of it may end by itself then; the loop's time
        self.pid = 0  # once it runs

    def start(self, spec: ProgramSpec, stdin: bytes | None) -> None:
        """Have the program started.

        Args:
            spec: what to run.
            stdin: what it reads, None for nothing.

        Raises:
            InternalError: there are no descriptors left; nothing more is heard.
            BadRequestError: the spec holds what no program can be given; likewise.
        """
        pipes = Pipes(with_stdin=stdin is not None)
        self._outputs = {pipes.stdout: STDOUT, pipes.stderr: STDERR}
        self._stdin = pipes.stdin
        try:
            self._number = self._link.start(self, spec, pipes.theirs, stdin is not None)
        except CommandError:
            self._close()
            raise
        if pipes.stdin is not None:
            self._stdin_left = memoryview(stdin or b"")
            self._writable()
            if self._stdin is not None:
                self._watcher.add(self._stdin, self._writable, WRITABLE)

    def signal(self, number: int) -> bool:
        """Send a signal to the whole group; False when the child has exited."""
        if self._status is not None:
            return False
        self._link.signal(self._number, number)
        return True

    def stop(self, grace: float) -> None:
        """End it: TERM now, KILL after `grace` seconds (at once for 0)."""
        self._stopped = True
        if grace > 0:
            self._link.stop(self._number, signal.SIGTERM)
            if self._stop_timer is None:
                self._stop_by = self._loop.time() + grace
                self._stop_timer = self._loop.call_at(self._stop_by, self.kill)
        else:
            self.kill()

    def kill(self) -> None:
        """End it now."""
        self._stop_by = 0.0
        if self._status is None:
            self._link.stop(self._number, signal.SIGKILL)
        elif self._linger_timer is not None:
            self._end()
        else:  # the rest of it may be ending by itself
            self._link.end(self._number)

    def resume(self) -> None:
        """Read on after the owner asked for no more."""
        if not self._paused:
            return
        self._paused = False
        for fd in self._outputs:
            self._watcher.add(fd, partial(self._readable, fd))

    # -- what the link tells ------------------------------------------------------------------

    def started(self, pid: int) -> None:
        """It runs."""
        self.pid = pid
        self._owner.child_started()
        for fd in self._outputs:
            self._watcher.add_later(fd, partial(self._readable, fd))

    def failed(self, error: CommandError) -> None:
        """It could not be started, or was lost."""
        self._close()
        self._owner.child_failed(error)

    def exited(self, status: ExitStatus) -> None:
        """The main process has exited: hear the rest, then have the group ended."""
        self._status = status
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        self._close_stdin()
        self.resume()
        for fd in list(self._outputs):
            self._drain(fd)
        linger = self._patience() if self._stopped else self._linger
        if self._outputs and linger > 0:
            self._linger_timer = self._loop.call_later(linger, self._end)
        else:
            self._end()

    def ended(self, survivors: int) -> None:
        """Nothing is left of it."""
        status = self._status
        if status is None:
            raise RuntimeError(f"child {self._number} ended and has not exited")
        self._owner.child_ended(status, survivors)

    # -- pipes --------------------------------------------------------------------------------

    def _pause(self) -> None:
        self._paused = True
        for fd in self._outputs:
            self._watcher.remove(fd)

    def _readable(self, fd: int) -> None:
        """Read what is there, but not for so long that others starve."""
        for _ in range(_READS_AT_ONCE):
            if self._read(fd, may_pause=True) < _READ_SIZE:
                return

    def _drain(self, fd: int) -> None:
        """Read what a pipe can hold; whoever keeps on writing is read by the watcher."""
        for _ in range(_DRAIN_READS):
            if not self._read(fd, may_pause=False):
                return

    def _read(self, fd: int, may_pause: bool) -> int:
        """Read once; return the number of bytes, 0 when there are no more for now."""
        stream = self._outputs.get(fd)
        if stream is None:
            return 0
        try:
            data = os.read(fd, _READ_SIZE)
        except BlockingIOError:
            return 0
        if not data:
            self._close_output(fd)
            return 0
        if not self._owner.child_wrote(stream, data) and may_pause:
            self._pause()
            return 0
        return len(data)

    def _close_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._watcher.remove(fd)
        os.close(fd)
        if not self._outputs and self._linger_timer is not None:
            self._end()

    def _writable(self) -> None:
        if self._stdin is None:
            return
        try:
            while self._stdin_left:
                written = os.write(self._stdin, self._stdin_left)
                self._stdin_left = self._stdin_left[written:]
        except BlockingIOError:
            return
        except OSError:  # it reads no more, which is its right
            pass
        self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._watcher.remove(self._stdin)
            os.close(self._stdin)
            self._stdin = None
            self._stdin_left = memoryview(b"")

    def _patience(self) -> float:
        """Seconds that the rest of it has left to end by itself."""
        return max(0.0, self._stop_by - self._loop.time())

    def _end(self) -> None:
        self._close()
        self._link.end(self._number, self._patience())

    def _close(self) -> None:
        for timer in (self._linger_timer, self._stop_timer):
            if timer is not None:
                timer.cancel()
        self._linger_timer = self._stop_timer = None
        self._close_stdin()
        for fd in list(self._outputs):
            self._watcher.remove(fd)
            os.close(fd)
        self._outputs.clear()
