"""All processes of the system at one moment, as /proc tells: one pass, one file for each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress

from msgspec import Struct

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STAT_AT_MOST = 4096


class ProcessEntry(Struct, frozen=True, gc=False):
    """One process; the fields are those of /proc/PID/stat, see proc_pid_stat(5).

    Attributes:
        pid: its number.
        parent: its parent's.
        session: its session's.
        started: clock ticks from the boot to its start; with the number it is unique.
        ticks: clock ticks of processor time, with those of all children that it has reaped.
        vms: bytes of address space.
        rss: bytes in memory.
    """

    pid: int
    parent: int
    session: int
    started: int
    ticks: int
    vms: int
    rss: int


class ProcessTable:
    """Processes by their numbers, at one moment.

    Attributes:
        taken: seconds since the boot, as `started` counts them.
        entries: process ID → what is known of it.
    """

    def __init__(self, taken: float, entries: Iterable[ProcessEntry]) -> None:
        """Hold what was seen at a moment."""
        self.taken = taken
        self.entries = {entry.pid: entry for entry in entries}
        self._children: dict[int, list[int]] = {}
        self._sessions: dict[int, list[int]] = {}
        for entry in self.entries.values():
            self._children.setdefault(entry.parent, []).append(entry.pid)
            self._sessions.setdefault(entry.session, []).append(entry.pid)

    def children(self, pid: int) -> list[int]:
        """Children of a process."""
        return self._children.get(pid, [])

    def session(self, pid: int) -> list[int]:
        """Processes of a session."""
        return self._sessions.get(pid, [])

    def trees(self, roots: Iterable[int]) -> dict[int, ProcessEntry]:
        """Those of the given processes that exist, and all descendants of all of them."""
        found: dict[int, ProcessEntry] = {}
        left = list(roots)
        while left:
            pid = left.pop()
            if pid in self.entries and pid not in found:
                found[pid] = self.entries[pid]
                left += self._children.get(pid, ())
        return found


def read_processes() -> ProcessTable:
    """Look at all processes; those that end meanwhile are left out. Blocks."""
    taken = time.clock_gettime(time.CLOCK_BOOTTIME)
    folder = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        names = [name for name in os.listdir(folder) if name.isdecimal()]
        entries = [_read(folder, name) for name in names]
    finally:
        os.close(folder)
    return ProcessTable(taken, (entry for entry in entries if entry is not None))


def _read(folder: int, name: str) -> ProcessEntry | None:
    with suppress(OSError):
        fd = os.open(f"{name}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            return parse_stat(os.read(fd, _STAT_AT_MOST))
        finally:
            os.close(fd)
    return None


def parse_stat(data: bytes) -> ProcessEntry | None:
    """Read /proc/PID/stat; None for what has none of its fields.

    The name, in parentheses, may hold anything: fields count from its end.
    """
    number, _, rest = data.partition(b" (")
    fields = rest.rpartition(b") ")[2].split(None, 22)
    if len(fields) < 22:
        return None
    ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return ProcessEntry(
        pid=int(number),
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        ticks=ticks,
        vms=int(fields[20]),
        rss=int(fields[21]) * _PAGE,
    )


def swapped(pid: int) -> int:
    """Swapped bytes of a process, 0 when it is gone: VmSwap of proc_pid_status(5). Blocks."""
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmSwap:"):
                return int(line.split()[1]) * 1024
    return 0


def swap_is_used() -> bool:
    """Whether anything may be swapped: only then is it worth a look at each process. Blocks."""
    with suppress(OSError), open("/proc/swaps", "rb") as file:
        return len(file.readlines()) > 1
    return True
