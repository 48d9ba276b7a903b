"""Processes whose parent has ended and that were handed to this one, their subreaper.

See PR_SET_CHILD_SUBREAPER in prctl(2) and /proc/PID/task/TID/children in proc(5).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from corex_node.process.program import JOB_MARK

KILL_PATIENCE = 5.0
"""Seconds within which killed processes are expected to be gone."""
_KILL_POLL = 0.005
_EMPTY_LOOKS = 2


def children() -> set[int]:
    """Process IDs of this process's children, ended and unreaped ones included."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return {int(word) for word in file.read().split()}


def job_of(pid: int) -> str | None:
    """Tell the job of a process by the mark in its environment; None when it bears none."""
    return marks_of(pid, (JOB_MARK,)).get(JOB_MARK)


def marks_of(pid: int, names: tuple[str, ...]) -> dict[str, str]:
    """Read variables of a process's environment, as it began; none of one that has ended."""
    wanted = tuple(f"{name}=".encode() for name in names)
    found: dict[str, str] = {}
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        for entry in file.read().split(b"\0"):
            if entry.startswith(wanted):
                name, _, value = entry.decode("utf-8", "replace").partition("=")
                found.setdefault(name, value)
    return found


def end_orphans(ours: Collection[int], is_over: Callable[[int], bool]) -> set[int]:
    """Kill what jobs left behind, and what that leaves behind in turn; blocks until it is gone.

    Args:
        ours: children that are nobody's orphans, or given up.
        is_over: tells of another child whether it is to be killed.

    Returns:
        Those that would not die within some seconds, or may not be killed by us.
    """
    deadline = time.monotonic() + KILL_PATIENCE
    left: set[int] = set()  # killed and not reaped; what is dead bears no mark any more
    refused: set[int] = set()
    while True:
        left |= {pid for pid in children().difference(ours, left, refused) if is_over(pid)}
        if not left:
            return refused
        left = end_children(left)
        refused |= {pid for pid in left if _is_refused(pid)}
        left -= refused
        if left and time.monotonic() >= deadline:
            return refused | left
        if left:
            time.sleep(_KILL_POLL)


def _is_refused(pid: int) -> bool:
    """Whether a child has become a user whom we may not signal."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    return False


def end_all_children() -> None:
    """Kill all children of this process, and what they leave behind; blocks until all are gone.

    What a child leaves becomes a child here only as it dies, and the kernel's list may lack one
    while others end: it takes two looks at an empty list to be sure.
    """
    deadline = time.monotonic() + KILL_PATIENCE
    empty = 0
    while empty < _EMPTY_LOOKS and time.monotonic() < deadline:
        found = children()
        empty = 0 if found else empty + 1
        if end_children(found) or not found:
            time.sleep(_KILL_POLL)


def end_children(pids: Collection[int]) -> set[int]:
    """Kill children and reap those that are gone; return the others.

    A child that is not reaped keeps its number, so nobody else can be hit.
    """
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return {pid for pid in pids if not reap_child(pid)}


def reap_child(pid: int) -> bool:
    """End the zombie of a child; False while it runs."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True
