"""The program that starts, signals and reaps the processes of jobs, beside the agent.

Starting a program holds its parent up until the program's image is loaded, longer than all else
that is done for a short job; so the agent leaves it to one or two of these. And it is the one that
survives: when the agent dies, however it dies, the socket between them closes, and the spawner
ends every process of every job. It is made subreaper, so that whatever a job leaves behind becomes
its child and is found.

Run by `spawner_link`, with the number of the socket's descriptor as its argument.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from functools import partial

import prctl

from corex_node.process.cgroup import join_cgroup, leave_cgroup
from corex_node.process.exit_status import exit_status
from corex_node.process.orphans import (
    children,
    end_all_children,
    end_children,
    end_orphans,
    job_of,
    reap_child,
)
from corex_node.process.packets import (
    Ended,
    Event,
    Exited,
    Failed,
    Send,
    Start,
    Started,
    Stop,
    encode_item,
    receive_requests,
    send_packet,
)
from corex_node.process.program import JOB_MARK, inherited_environment
from corex_node.process.spawn import Streams, settle_directory, spawn
from corex_node.process.spawned import Spawned
from corex_node.process.stop import kill_group, signal_process
from corex_node.process.tree import is_exiting, start_of, ticks_now
from corex_shared.errors import CommandError

_STARTS_AT_ONCE = 2
"""Programs started before exits are looked at again."""
_ENDING = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT})
_ENDING_POLL = 0.01
"""Seconds between two looks whether those that were asked to end have."""
_SWEEP_EVERY = 1.0
"""Seconds between two looks for orphans that have ended."""
_LAST_SWEEPS = 3
"""Looks after the last child."""


class Spawner:
    """Serves one agent until it is gone."""

    def __init__(self, sock: socket.socket) -> None:
        """Serve the agent at the other end of a socket."""
        self._sock = sock
        self._sock.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._environment = inherited_environment()
        self._children: dict[int, Spawned] = {}
        self._by_pidfd: dict[int, Spawned] = {}
        self._by_pid: dict[int, Spawned] = {}  # until it is reaped
        self._starts: deque[tuple[Start, Streams]] = deque()
        self._events: list[Event] = []
        self._ending: dict[int, float] = {}  # child → until when its tree may end by itself
        self._dropped: set[int] = set()  # children that were ended before they were started
        self._undying: set[int] = set()  # orphans that were killed, given up, and are still there
        self._waits_to_send = False
        self._next_sweep = 0.0
        self._sweeps = 0  # looks for orphans that are still to come

    def run(self) -> None:
        """Serve; return when the agent is gone and no process of it is left."""
        while self._turn():
            pass
        self._end_everything()

    def _turn(self) -> bool:
        wait = 0.0 if self._starts else self._time_to_sweep()
        if self._ending:
            wait = _ENDING_POLL if wait < 0 else min(wait, _ENDING_POLL)
        for fd, _ in self._epoll.poll(wait):
            if fd != self._sock.fileno():
                self._child_exited(fd)
            elif not self._take_requests():
                return False
        for _ in range(min(_STARTS_AT_ONCE, len(self._starts))):
            self._start(*self._starts.popleft())
        if self._ending:
            self._end_due()
        if self._sweeps and time.monotonic() >= self._next_sweep:
            self._sweep()
        return self._send_events()

    # -- requests -----------------------------------------------------------------------------

    def _take_requests(self) -> bool:
        try:
            received = receive_requests(self._sock)
        except BlockingIOError:
            return True
        if received is None:
            return False
        requests, fds = received
        ended: list[int] = []
        for request in requests:
            if isinstance(request, Start):
                stdout, stderr = fds.pop(0), fds.pop(0)
                stdin = fds.pop(0) if request.has_stdin else None
                self._starts.append((request, Streams(stdout, stderr, stdin)))
            elif isinstance(request, Send | Stop):
                self._signal(request)
            elif request.patience and self._is_ending(request.child):
                self._ending[request.child] = time.monotonic() + request.patience
            else:
                ended.append(request.child)
        if ended:
            self._end_groups(ended)
        return True

    def _start(self, request: Start, streams: Streams) -> None:
        started = ticks_now()
        try:
            pid = spawn(request.spec, self._environment, streams)
            pidfd = _open_pidfd(pid)
        except CommandError as error:
            self._events.append(Failed(request.child, error.code, _as_text(error)))
        except OSError as error:
            self._events.append(Failed(request.child, 500, _as_text(error)))
        else:
            job = (request.spec.marks or {}).get(JOB_MARK)
            has_group = request.spec.own_group
            child = Spawned(request.child, pid, pidfd, job, has_group, started)
            self._children[request.child] = self._by_pidfd[pidfd] = self._by_pid[pid] = child
            self._epoll.register(pidfd, select.EPOLLIN)
            self._events.append(Started(request.child, pid))
        finally:
            for fd in streams:
                if fd is not None:
                    os.close(fd)

    def _signal(self, request: Send | Stop) -> None:
        child = self._children.get(request.child)
        if child is not None:
            if isinstance(request, Stop):
                child.signal_all(request.signal, partial(self._orphans_of, child))
            else:
                child.signal(request.signal)
            return
        for at, (start, streams) in enumerate(self._starts):
            if start.child == request.child and request.signal in _ENDING:
                # Not even started: there is nothing to be polite to.
                del self._starts[at]
                for fd in streams:
                    if fd is not None:
                        os.close(fd)
                self._events.append(Exited(request.child, 0, request.signal))
                self._dropped.add(request.child)
                return

    def _orphans_of(self, child: Spawned) -> list[int]:
        """List what a child's job has handed over to this process already."""
        orphans = children().difference(self._by_pid)
        return [pid for pid in orphans if child.job is not None and job_of(pid) == child.job]

    # -- ends ---------------------------------------------------------------------------------

    def _child_exited(self, pidfd: int) -> None:
        child = self._by_pidfd.get(pidfd)
        status = exit_status(pidfd) if child is not None else None
        if child is not None and status is not None:
            self._epoll.unregister(pidfd)
            del self._by_pidfd[pidfd]
            self._events.append(Exited(child.number, status.code, status.signal))

    def _is_ending(self, number: int) -> bool:
        """Whether some of a child that was stopped still runs."""
        child = self._children.get(number)
        return child is not None and child.is_ending()

    def _end_due(self) -> None:
        """End what had time to end by itself and has, or has none left."""
        now = time.monotonic()
        due = [
            number
            for number, until in self._ending.items()
            if until <= now or not self._is_ending(number)
        ]
        if due:
            self._end_groups(due)

    def _end_groups(self, numbers: list[int]) -> None:
        """End groups while their numbers are kept by zombies, then whatever left the groups."""
        gone = [self._children.pop(number) for number in numbers if number in self._children]
        for child in gone:
            self._ending.pop(child.number, None)
            child.end()
            del self._by_pid[child.pid]
        survivors = end_orphans(self._by_pid.keys() | self._undying, self._is_over)
        self._undying |= survivors
        self._events += [Ended(child.number, len(survivors)) for child in gone]
        self._events += [Ended(number, 0) for number in self._dropped.intersection(numbers)]
        self._dropped.difference_update(numbers)

    def _is_over(self, pid: int) -> bool:
        """Whether a child is an orphan of a job that has ended.

        One that took the mark out of its environment can be of any job that ran when it was born:
        it has to go when all of these have ended.
        """
        job = job_of(pid)
        if job is not None:
            return all(child.job != job for child in self._children.values())
        if is_exiting(pid):  # it bears no mark any more; what it leaves is seen once it is reaped
            return True
        born = start_of(pid)
        return born is None or all(child.started > born for child in self._children.values())

    def _time_to_sweep(self) -> float:
        """Seconds until orphans are looked for; -1, for ever, while there can be none."""
        if self._children:
            self._sweeps = _LAST_SWEEPS
        elif not self._sweeps:
            return -1.0
        return max(0.0, self._next_sweep - time.monotonic())

    def _sweep(self) -> None:
        """End the zombies of orphans, and orphans whose job is over.

        The kernel's list of children may lack one while others end, so it takes several looks
        after the last child to be sure that none is left.
        """
        self._next_sweep = time.monotonic() + _SWEEP_EVERY
        left = {pid for pid in children().difference(self._by_pid) if not reap_child(pid)}
        over = {pid for pid in left if self._is_over(pid)}
        left -= over - end_children(over)
        self._undying &= left
        self._sweeps = _LAST_SWEEPS if left else max(0, self._sweeps - 1)

    def _end_everything(self) -> None:
        """The agent is gone: no process that it started may survive it."""
        for child in self._children.values():
            kill_group(child.pid)
        end_all_children()

    def _send_events(self) -> bool:
        while self._events:
            batch = [encode_item(event) for event in self._events[:256]]
            try:
                send_packet(self._sock, batch, ())
            except BlockingIOError:
                self._wait_to_send(True)
                return True
            except OSError:
                return False
            del self._events[: len(batch)]
        self._wait_to_send(False)
        return True

    def _wait_to_send(self, waits: bool) -> None:
        if waits != self._waits_to_send:
            self._waits_to_send = waits
            events = select.EPOLLIN | (select.EPOLLOUT if waits else 0)
            self._epoll.modify(self._sock.fileno(), events)


def _open_pidfd(pid: int) -> int:
    """Open a child's descriptor; without one it cannot be watched, so it is ended at once.

    Raises:
        OSError: there are no descriptors left; the child is gone.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        kill_group(pid)
        signal_process(pid, signal.SIGKILL)  # it may lead no group
        os.waitpid(pid, 0)
        raise


def _as_text(error: Exception) -> str:
    """Tell an error; a path in it may be no text."""
    return str(error).encode("utf-8", "replace").decode()


def _settle_signals() -> None:
    """Have programs begin with every signal at its default, whatever the agent began with.

    What a terminal or a service manager sends is the agent's business: it is handled here by doing
    nothing, not ignored, as what is ignored stays so in the programs.
    """
    for number in range(1, signal.SIGSYS + 1):
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _pass_over)
        elif number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)


def _pass_over(number: int, frame: object) -> None:
    """Do nothing."""


def main() -> None:
    """Serve the agent at the socket whose descriptor is named on the command line."""
    prctl.set_name("corex-spawner")
    prctl.set_child_subreaper(True)
    _settle_signals()
    settle_directory()
    gc.disable()  # nothing here makes cycles
    group = join_cgroup()
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        sock.set_inheritable(False)  # it came through an exec; programs must not have it
        Spawner(sock).run()
    if group is not None:
        leave_cgroup(group)


if __name__ == "__main__":
    main()
