"""The agent's end of one spawner: requests out in batches, events in, a new one when it dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from corex_node.process import packets
from corex_node.process.cgroup import end_cgroups
from corex_node.process.exit_status import ExitStatus
from corex_node.process.orphans import children, end_children, end_orphans, job_of
from corex_node.process.packets import (
    MOST_DESCRIPTORS,
    End,
    Ended,
    Event,
    Exited,
    Failed,
    Send,
    Start,
    Started,
    Stop,
    encode_item,
)
from corex_node.process.program import JOB_MARK, ProgramSpec
from corex_node.process.stop import kill_group
from corex_node.process.watcher import READABLE, WRITABLE, Watcher
from corex_shared.errors import BadRequestError, CommandError, InternalError, error_of_code

_log = structlog.get_logger()

_MOST_REQUESTS = 32
_STOP_PATIENCE = 10.0


class SpawnedChild(Protocol):
    """Who hears of a child, in this order: `started` or `failed`; `exited`; `ended`."""

    def started(self, pid: int) -> None:
        """It runs."""

    def failed(self, error: CommandError) -> None:
        """It could not be started; nothing more is heard."""

    def exited(self, status: ExitStatus) -> None:
        """Its main process has exited; others of it may run. To be answered by `end`."""

    def ended(self, survivors: int) -> None:
        """Nothing of it is left, but for so many survivors."""


class Link(Protocol):
    """Starts, signals and ends children: a spawner, or its double in tests."""

    def start(self, child: SpawnedChild, spec: ProgramSpec, fds: list[int], has_stdin: bool) -> int:
        """Have a program started; returns the number by which the child is addressed."""

    def signal(self, number: int, sig: int) -> None:
        """Send a signal to a child's process group."""

    def stop(self, number: int, sig: int) -> None:
        """Send a signal to everything of a child, wherever it went."""

    def end(self, number: int, patience: float = 0.0) -> None:
        """Have what is left of an exited child ended, within so many seconds if it was stopped."""


class SpawnerLink:
    """One spawner."""

    def __init__(self, watcher: Watcher, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Start it.

        Args:
            watcher: calls back when it has something to say.
            call_soon: has a function called at the end of this turn of the event loop.
        """
        self._watcher = watcher
        self._call_soon = call_soon
        self._children: dict[int, SpawnedChild] = {}
        self._pids: dict[int, int] = {}
        self._marks: dict[int, str] = {}  # of the children's jobs
        self._last = 0
        self._open()

    @property
    def load(self) -> int:
        """Children that it has."""
        return len(self._children)

    @property
    def pid(self) -> int:
        """Process ID of the spawner."""
        return self._process.pid

    def start(self, child: SpawnedChild, spec: ProgramSpec, fds: list[int], has_stdin: bool) -> int:
        """Have a program started.

        Args:
            child: hears what becomes of it.
            spec: what to run.
            fds: its stdout, stderr and, if `has_stdin`, stdin; closed here when they are sent.
            has_stdin: see `fds`.

        Returns:
            The number by which the child is addressed.

        Raises:
            BadRequestError: the spec holds what no program can be given.
        """
        try:
            request = encode_item(Start(self._last + 1, spec, has_stdin))
        except (OverflowError, ValueError) as error:
            _close_all(fds)
            raise BadRequestError(f"the program cannot be described: {error}") from error
        self._last += 1
        self._children[self._last] = child
        self._marks[self._last] = (spec.marks or {}).get(JOB_MARK, "")
        self._queue(request, fds)
        return self._last

    def signal(self, number: int, sig: int) -> None:
        """Send a signal to a child's process group."""
        self._queue(encode_item(Send(number, sig)), [])

    def stop(self, number: int, sig: int) -> None:
        """Send a signal to everything of a child, wherever it went."""
        self._queue(encode_item(Stop(number, sig)), [])

    def end(self, number: int, patience: float = 0.0) -> None:
        """Have what is left of an exited child ended, within so many seconds if it was stopped."""
        self._queue(encode_item(End(number, patience)), [])

    def close(self) -> None:
        """Let the spawner end, with all that it started; blocks until it is gone."""
        self._shut()
        try:
            self._process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            _log.error("spawner.stuck", pid=self.pid)
            self._process.kill()
            self._process.wait()

    # -- the spawner --------------------------------------------------------------------------

    def _open(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "corex_node.process.spawner", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.setblocking(False)
        self._sock = ours
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._flush_planned = False
        self._blocked = False
        self._watcher.add(ours.fileno(), self._readable)

    def _shut(self) -> None:
        self._watcher.remove(self._sock.fileno())
        self._sock.close()
        for _, fds in self._waiting:
            _close_all(fds)
        self._waiting.clear()

    def _died(self) -> None:
        """The spawner is gone: so are its children, and nobody knows how they ended."""
        self._shut()
        code = self._process.wait()
        _log.error("spawner.died", pid=self.pid, code=code, children=len(self._children))
        lost, self._children = self._children, {}
        pids, self._pids = set(self._pids.values()), {}
        marks, self._marks = set(self._marks.values()), {}
        end_cgroups(self._process.pid)
        strangers = pids - children()
        # They are ours now if we are a subreaper.
        end_orphans([self._process.pid], lambda pid: job_of(pid) in marks)
        end_children(pids - strangers)
        for pid in strangers:  # else the system's
            kill_group(pid)
        self._open()
        for child in lost.values():
            child.failed(InternalError("the spawner of the program died"))

    # -- packets ------------------------------------------------------------------------------

    def _queue(self, request: bytes, fds: list[int]) -> None:
        self._waiting.append((request, fds))
        if not self._flush_planned and not self._blocked:
            self._flush_planned = True
            self._call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        while self._waiting:
            requests, fds = self._batch()
            try:
                packets.send_packet(self._sock, requests, fds)
            except BlockingIOError:
                self._block(True)
                return
            except OSError:
                return  # the spawner is gone: its socket tells
            for _ in requests:
                _close_all(self._waiting.popleft()[1])
        self._block(False)

    def _batch(self) -> tuple[list[bytes], list[int]]:
        requests: list[bytes] = []
        fds: list[int] = []
        for request, more in self._waiting:
            if len(requests) == _MOST_REQUESTS or len(fds) + len(more) > MOST_DESCRIPTORS:
                break
            requests.append(request)
            fds += more
        return requests, fds

    def _block(self, blocked: bool) -> None:
        if blocked != self._blocked:
            self._blocked = blocked
            fd = self._sock.fileno()
            self._watcher.remove(fd)
            if blocked:
                self._watcher.add(fd, self._writable, READABLE | WRITABLE)
            else:
                self._watcher.add(fd, self._readable)

    def _writable(self) -> None:
        self._flush()
        self._readable()

    def _readable(self) -> None:
        try:
            events = packets.receive_events(self._sock)
        except BlockingIOError:
            return
        if events is None:
            self._died()
            return
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        number = event.child
        if isinstance(event, Started):
            self._pids[number] = event.pid
            self._children[number].started(event.pid)
        elif isinstance(event, Exited):
            self._children[number].exited(ExitStatus(event.code, event.signal))
        elif isinstance(event, Failed):
            self._forget(number).failed(error_of_code(event.code, event.reason))
        elif isinstance(event, Ended):
            self._forget(number).ended(event.survivors)

    def _forget(self, number: int) -> SpawnedChild:
        self._pids.pop(number, None)
        del self._marks[number]
        return self._children.pop(number)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
