"""What jobs of an agent that is gone left behind, found by its marks in all of /proc.

That takes more than the death of the agent, after which its spawners end everything: it takes the
death of all of them at the same moment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection

from corex_node.process.orphans import marks_of
from corex_node.process.program import JOB_MARK, NODE_MARK
from corex_node.process.tree import Member, descendants, signal_member, start_of

_PATIENCE = 10.0
"""Seconds within which killed processes are expected to be gone."""
_POLL = 0.02


def end_leftovers(scope: str, jobs: Collection[str]) -> int:
    """Kill what is left of a node's jobs, and return when it is gone; blocks.

    What is beneath this process is no leftover. A spawner of the predecessor that is still at it is
    waited for in the same way.

    Args:
        scope: of the node, as programs bear it.
        jobs: IDs.

    Returns:
        How many processes would not die within some seconds.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        left = _find(scope, jobs)
        for member in left:
            signal_member(member, signal.SIGKILL)
        if not left or time.monotonic() >= deadline:
            return len(left)
        time.sleep(_POLL)


def _find(scope: str, jobs: Collection[str]) -> set[Member]:
    """Find the processes that bear the marks; those that have ended bear none."""
    ours = {member.pid for member in descendants([os.getpid()])} | {os.getpid()}
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) in ours:
            continue
        started = start_of(int(name))  # before the marks: who has them then is known
        marks = marks_of(int(name), (JOB_MARK, NODE_MARK))
        if started is not None and marks.get(NODE_MARK) == scope and marks.get(JOB_MARK) in jobs:
            found.add(Member(int(name), started))
    return found
