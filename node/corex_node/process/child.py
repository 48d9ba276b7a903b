"""One child process: its pipes read and written, its end noticed, its group ended with it.

All of it happens in callbacks of the `Watcher`: no task, no thread, nothing that waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Protocol

from corex_node.process.exit_status import ExitStatus, reap
from corex_node.process.spawn import Environment, ProgramSpec, spawn
from corex_node.process.stop import kill_group, signal_group
from corex_node.process.watcher import WRITABLE, Watcher

STDOUT = 1
STDERR = 2
_READ_SIZE = 64 * 1024
_READS_AT_ONCE = 4
_DRAIN_READS = 64
"""Reads after the exit: more than the largest pipe of an unprivileged process (1 MiB) holds."""


class ChildOwner(Protocol):
    """Who hears of a child."""

    def child_wrote(self, stream: int, data: bytes) -> bool:
        """Take output (stream 1 or 2); False asks for no more until `Child.resume`."""

    def child_ended(self, status: ExitStatus) -> None:
        """The child is reaped, all its output was passed on, its group is gone."""


class Child:
    """A running program. Made by `start`; every descriptor it opens it also closes."""

    __slots__ = (
        "_linger",
        "_linger_timer",
        "_loop",
        "_outputs",
        "_owner",
        "_paused",
        "_pidfd",
        "_stdin",
        "_stdin_left",
        "_stop_timer",
        "_watcher",
        "ended",
        "exited",
        "pid",
    )

    def __init__(self, watcher: Watcher, owner: ChildOwner, linger: float) -> None:
        """Prepare a child; nothing runs yet.

        Args:
            watcher: calls back when a descriptor is ready.
            owner: hears of output and end.
            linger: seconds after the exit during which others that hold the pipes are heard.
        """
        self._loop = asyncio.get_running_loop()
        self._watcher = watcher
        self._owner = owner
        self._linger = linger
        self._outputs: dict[int, int] = {}  # descriptor → stream, while open
        self._paused = False
        self._pidfd = -1
        self._stdin: int | None = None
        self._stdin_left = memoryview(b"")
        self._stop_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self.pid = 0
        self.exited = False
        self.ended = False

    def start(self, spec: ProgramSpec, env: Environment) -> None:
        """Start the program.

        Raises:
            CommandError: it could not be started; there is nothing to clean up.
        """
        spawned = spawn(spec, env)
        self.pid, self._pidfd = spawned.pid, spawned.pidfd
        self._outputs = {spawned.stdout: STDOUT, spawned.stderr: STDERR}
        self._watcher.add(spawned.pidfd, self._exited)
        self._watch_output(spawned.stdout)
        self._watch_output(spawned.stderr)
        if spawned.stdin is not None:
            self._stdin = spawned.stdin
            self._stdin_left = memoryview(spec.stdin or b"")
            self._writable()
            if self._stdin is not None:
                self._watcher.add(self._stdin, self._writable, WRITABLE)

    def signal(self, number: int) -> bool:
        """Send a signal to the whole group; False when the child has exited."""
        return not self.exited and signal_group(self.pid, number)

    def stop(self, grace: float) -> None:
        """End it: TERM now, KILL after `grace` seconds (at once for 0)."""
        if self.exited:
            return
        if grace > 0:
            self.signal(signal.SIGTERM)
            if self._stop_timer is None:
                self._stop_timer = self._loop.call_later(grace, self.kill)
        else:
            self.kill()

    def kill(self) -> None:
        """End it now."""
        if not self.exited:
            kill_group(self.pid)

    def resume(self) -> None:
        """Read on after the owner asked for no more."""
        if not self._paused:
            return
        self._paused = False
        for fd in self._outputs:
            self._watch_output(fd)

    def _watch_output(self, fd: int) -> None:
        self._watcher.add(fd, lambda: self._readable(fd))

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
        if self.exited and not self._outputs:
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

    def _exited(self) -> None:
        """The main process has exited: hear the rest, then end the group.

        It is not reaped yet: as long as it is a zombie, its ID, and so its group's, is its own.
        """
        if self.exited:
            return
        self.exited = True
        self._watcher.remove(self._pidfd)
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        self._close_stdin()
        if self._paused:
            self.resume()
        for fd in list(self._outputs):
            self._drain(fd)
        if not self.ended and self._outputs:
            self._linger_timer = self._loop.call_later(self._linger, self._end)
        elif not self.ended:
            self._end()

    def _end(self) -> None:
        """End what is left of the group, reap, close, tell the owner; once."""
        if self.ended:
            return
        self.ended = True
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        kill_group(self.pid)
        for fd in list(self._outputs):
            self._watcher.remove(fd)
            os.close(fd)
        self._outputs.clear()
        status = reap(self._pidfd)
        os.close(self._pidfd)
        if status is None:  # the descriptor said that it had exited
            raise RuntimeError(f"process {self.pid} has not exited")
        self._owner.child_ended(status)
