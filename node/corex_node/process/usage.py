"""What processes use, as the kernel tells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(slots=True)
class Usage:
    """CPU in percent of one core since the process began; sizes in bytes."""

    cpu: float = 0.0
    rss: int = 0
    vms: int = 0
    swap: int = 0

    def add(self, other: Usage) -> None:
        """Add another's figures to these."""
        self.cpu += other.cpu
        self.rss += other.rss
        self.vms += other.vms
        self.swap += other.swap


def tree_usage(pid: int, now: float) -> Usage:
    """Sum up a process and its descendants; those that end meanwhile count as nothing.

    Blocks on /proc: not to be called on the event loop.

    Args:
        pid: root of the tree.
        now: seconds since the epoch.
    """
    total = Usage()
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):
                total.add(_usage(process, now))
    return total


def _usage(process: psutil.Process, now: float) -> Usage:
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        age = max(now - process.create_time(), 0.01)
    return Usage(
        (times.user + times.system) / age * 100, memory.rss, memory.vms, _swap(process.pid)
    )


def _swap(pid: int) -> int:
    """Swapped bytes of a process: `VmSwap` of /proc/PID/status, proc_pid_status(5)."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmSwap:"):
                return int(line.split()[1]) * 1024
    return 0
