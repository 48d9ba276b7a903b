"""A control group for all that a spawner starts, where the system lets us have one.

See cgroups(7), version 2.

Whatever is born in it stays in it, whatever it does to its session or environment, and the kernel
ends all of it at once (`cgroup.kill`, Linux 5.14). So what a spawner that was killed leaves behind
is ended for certain, by its agent or by the next one. Without such a group the marks of jobs have
to do.

A group for each job would be better still, but moving a process into one makes the kernel wait for
all processors when it has not done so for some milliseconds: about ten times as long as it takes to
start a program, measured where a program takes 0.75 ms; and making and removing a group costs a
fifth of a start. A spawner moves once.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from corex_node.process.orphans import reap_child
from corex_node.process.tree import Member, lives, start_of

_PREFIX = "corex-"
_NAME = re.compile(rf"{_PREFIX}(?P<pid>\d+)-(?P<started>\d+)-(?P<space>\d+)", re.ASCII)
_PATIENCE = 5.0
_POLL = 0.005


def join_cgroup() -> Path | None:
    """Move this process into a group of its own, beneath the one that it is in.

    Groups of spawners that are gone are removed, with what is in them.

    Returns:
        Folder of the group; None where there can be none.
    """
    base, started = _base(), start_of(os.getpid())
    if base is None or started is None:
        return None
    end_cgroups()
    group = base / _name(Member(os.getpid(), started))
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

    Those of other agents too: no job is to outlive its agent. Groups of another PID namespace,
    whose spawners cannot be seen, are left alone.

    Args:
        spawner: process ID of the one whose group is meant; None for all.
    """
    base = _base()
    if base is None:
        return
    for group in base.glob(f"{_PREFIX}*"):
        owner = _owner(group.name)
        if owner is not None and spawner in (None, owner.pid) and not lives(owner):
            with suppress(OSError):
                _end(group)


def _name(owner: Member) -> str:
    return f"{_PREFIX}{owner.pid}-{owner.started}-{_name_space()}"


def _owner(name: str) -> Member | None:
    """Tell whose a group is by its name; None for others than spawners of this PID namespace."""
    match = _NAME.fullmatch(name)
    if match is None or int(match["space"]) != _name_space():
        return None
    return Member(int(match["pid"]), int(match["started"]))


def _name_space() -> int:
    """Number of the PID namespace: in another one the same process IDs mean others."""
    return os.stat("/proc/self/ns/pid").st_ino


def _end(group: Path) -> None:
    """End everything in a group and remove it, with the groups that were made in it.

    Raises:
        OSError: something would not die, or it is gone already.
    """
    deadline = time.monotonic() + _PATIENCE
    found: set[int] = set()
    while inside := _processes(group):
        (group / "cgroup.kill").write_text("1")
        found |= inside
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    for pid in found:  # of those that became our children, whose numbers are theirs until then
        reap_child(pid)
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)


def _processes(group: Path) -> set[int]:
    """Process IDs of all that is in a group, or in one within it."""
    found: set[int] = set()
    for folder, _, _ in os.walk(group):
        with suppress(OSError), open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            found.update(map(int, file.read().split()))
    return found


def _base() -> Path | None:
    """Find the folder of the group that this process is in; None when there is no version 2."""
    with suppress(OSError):
        mount = _mount_point(Path("/proc/self/mountinfo").read_text())
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if mount is not None and line.startswith("0::/"):
                return Path(mount + line.removeprefix("0::"))
    return None


def _mount_point(mounts: str) -> str | None:
    """Find where version 2 is mounted, whole: see /proc/PID/mountinfo in proc_pid_mountinfo(5)."""
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        root, point = fields.split()[3:5]
        if kind.startswith("cgroup2 ") and root == "/" and "\\" not in point:
            return point
    return None
