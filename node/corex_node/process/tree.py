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
# Fields of /proc/PID/stat after the name, which is the 2nd of all.
_STATE_FIELD = 0
_FLAGS_FIELD = 6
_START_FIELD = 19
_PF_EXITING = 0x4
_ENDED = frozenset({b"Z", b"X"})
_STILL = _ENDED | {b"T", b"t"}


class Member(NamedTuple):
    """A process: its number, and the clock ticks from the boot to its start."""

    pid: int
    started: int


def ticks_now() -> int:
    """Clock ticks from the boot to now."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)


def start_of(pid: int) -> int | None:
    """When a process began, in clock ticks from the boot; None when it is gone."""
    fields = _stat(pid)
    return int(fields[_START_FIELD]) if fields else None


def member_of(pid: int) -> Member | None:
    """Who has a number now; None when nobody has."""
    started = start_of(pid)
    return None if started is None else Member(pid, started)


def lives(member: Member) -> bool:
    """Whether a process runs, and is still the same; one that waits to be reaped does not."""
    fields = _stat(member.pid)
    return bool(fields) and _is(member, fields) and fields[_STATE_FIELD] not in _ENDED


def is_still(member: Member) -> bool:
    """Whether a process does nothing by itself: it is stopped, or it has ended."""
    fields = _stat(member.pid)
    return not fields or not _is(member, fields) or fields[_STATE_FIELD] in _STILL


def is_exiting(pid: int) -> bool:
    """Whether a process has ended or is about to: it has no environment any more."""
    fields = _stat(pid)
    if not fields or fields[_STATE_FIELD] in _ENDED:
        return True
    return bool(int(fields[_FLAGS_FIELD]) & _PF_EXITING)


def _is(member: Member, fields: list[bytes]) -> bool:
    return int(fields[_START_FIELD]) == member.started


def _stat(pid: int) -> list[bytes]:
    """Read what the kernel tells of a process, without number and name; nothing when it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        fields = (file.read() or b"").rpartition(b")")[2].split()
        if len(fields) > _START_FIELD:
            return fields
    return []


def children_of(pid: int) -> set[int]:
    """Process IDs of a process's children."""
    found: set[int] = set()
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.update(map(int, file.read().split()))
    return found


def descendants(roots: Iterable[int]) -> list[Member]:
    """List everything beneath some processes, without these; parents before their children."""
    found: list[Member] = []
    unseen = list(roots)
    seen = set(unseen)
    for pid in unseen:  # which grows meanwhile
        for child in children_of(pid) - seen:
            seen.add(child)
            unseen.append(child)
            member = member_of(child)
            if member is not None:
                found.append(member)
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


def session_of(pid: int) -> int:
    """Session of a process; 0 when it is gone."""
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0
