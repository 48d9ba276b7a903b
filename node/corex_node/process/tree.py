"""The processes beneath one process, and signals to them that hit nobody else.

A process is known by its number and its start: another that gets the number later has another
start. See proc_pid_stat(5) and proc_tid_children(5); the latter may lack children that begin or end
while it is read, so whoever must be certain looks again.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_START_FIELD = 19  # of those after the name, which is the 2nd of all
_ENDED = (b"Z", b"X")


class Member(NamedTuple):
    """A process: its number, and the clock ticks from the boot to its start."""

    pid: int
    started: int


def ticks_now() -> int:
    """Clock ticks from the boot to now."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)


def start_of(pid: int) -> int | None:
    """When a process began, in clock ticks from the boot; None when it is gone."""
    fields = _fields(pid)
    return int(fields[_START_FIELD]) if fields else None


def lives(member: Member) -> bool:
    """Whether a process runs, and is still the same; one that waits to be reaped does not."""
    fields = _fields(member.pid)
    return bool(fields) and int(fields[_START_FIELD]) == member.started and fields[0] not in _ENDED


def _fields(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat after the name; none when the process is gone."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
    return []


def children_of(pid: int) -> set[int]:
    """Process IDs of a process's children."""
    found: set[int] = set()
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.update(map(int, file.read().split()))
    return found


def descendants(roots: Iterable[int]) -> set[Member]:
    """List everything beneath some processes, without these themselves."""
    found: set[Member] = set()
    seen = set(roots)
    unseen = list(seen)
    while unseen:
        for pid in children_of(unseen.pop()) - seen:
            seen.add(pid)
            unseen.append(pid)
            started = start_of(pid)
            if started is not None:
                found.add(Member(pid, started))
    return found


def signal_member(member: Member, number: int) -> bool:
    """Send a signal to a process, if it is still the same; False when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(member.pid)
        try:
            # From here on the descriptor is of whoever has the number now.
            if start_of(member.pid) != member.started:
                return False
            signal.pidfd_send_signal(pidfd, number)
            return True
        finally:
            os.close(pidfd)
    return False


def group_of(pid: int) -> int:
    """Process group of a process; 0 when it is gone."""
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0
