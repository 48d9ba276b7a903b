"""A control group for all that a spawner starts, where the system lets us have one.

See cgroups(7), version 2.

Whatever is born in it stays in it, whatever it does to its session or environment, and the kernel
ends all of it at once (`cgroup.kill`, Linux 5.14). So what a spawner that was killed leaves behind
is ended for certain, by its agent or by the next one. Without such a group the marks of jobs have
to do.

A group for each job would be better still, but moving a process into one makes the kernel wait for
all processors when it has not done so for some milliseconds: about ten times as long as it takes to
start a program, measured where a program takes 0.75 ms. A spawner moves once.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from corex_node.process.tree import Member, lives, start_of

_PREFIX = "corex-"
_PATIENCE = 5.0
_POLL = 0.005


def join_cgroup() -> Path | None:
    """Move this process into a group of its own, beneath the one that it is in.

    Returns:
        Folder of the group; None where there can be none.
    """
    pid = os.getpid()
    started = start_of(pid)
    base = _base()
    if base is None or started is None:
        return None
    group = base / f"{_PREFIX}{pid}-{started}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        if not (group / "cgroup.kill").exists():
            raise FileNotFoundError("cgroup.kill")
        (group / "cgroup.procs").write_text("0")
    except OSError:
        with suppress(OSError):
            group.rmdir()
        return None
    return group


def leave_cgroup(group: Path) -> None:
    """Leave a group that was joined, and end whatever else is in it; blocks until it is gone."""
    with suppress(OSError):
        (group.parent / "cgroup.procs").write_text("0")
        _end(group)


def end_cgroups(spawner: int | None = None) -> None:
    """End what is in the groups of spawners that are gone; blocks until that is gone.

    Args:
        spawner: process ID of the one whose group is meant; None for all.
    """
    base = _base()
    if base is None:
        return
    for group in base.glob(f"{_PREFIX}*-*"):
        pid, _, started = group.name.removeprefix(_PREFIX).partition("-")
        meant = spawner is None or pid == str(spawner)
        if meant and pid.isdecimal() and not _lives(int(pid), started):
            with suppress(OSError):
                _end(group)


def _lives(pid: int, started: str) -> bool:
    return started.isdecimal() and lives(Member(pid, int(started)))


def _end(group: Path) -> None:
    """End everything in a group and remove it.

    Raises:
        OSError: something would not die, or it is gone already.
    """
    deadline = time.monotonic() + _PATIENCE
    (group / "cgroup.kill").write_text("1")
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(_POLL)
    group.rmdir()


def _base() -> Path | None:
    """Find the folder of the group that this process is in; None when there is no version 2."""
    with suppress(OSError):
        mount = _mount_point(Path("/proc/self/mountinfo").read_text())
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if mount is not None and line.startswith("0::/"):
                folder = Path(mount + line.removeprefix("0::"))
                # A spawner's own group is beneath that of its agent.
                return folder.parent if folder.name.startswith(_PREFIX) else folder
    return None


def _mount_point(mounts: str) -> str | None:
    """Find where version 2 is mounted, whole: see /proc/PID/mountinfo in proc_pid_mountinfo(5)."""
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        root, point = fields.split()[3:5]
        if kind.startswith("cgroup2 ") and root == "/" and "\\" not in point:
            return point
    return None
