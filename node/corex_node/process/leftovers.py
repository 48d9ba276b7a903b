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
from corex_node.process.tree import (
    Member,
    descendants,
    is_exiting,
    lives,
    member_of,
    signal_member,
)

_PATIENCE = 10.0
"""Seconds within which killed processes are expected to be gone."""
_DYING_PATIENCE = 1.0
"""Seconds for which processes that die are waited for, as long as nobody knows whose they are."""
_POLL = 0.02


def end_leftovers(scope: str, jobs: Collection[str]) -> int:
    """Kill what is left of a node's jobs, and return when it is gone; blocks.

    What is beneath this process is no leftover. A spawner of the predecessor that is still at it is
    waited for in the same way.

    A process that dies bears no marks any more while it still has its files, and locks on them: one
    that was found is waited for to its end, and one that is found dying, whose it ever was, for a
    moment.

    Args:
        scope: of the node, as programs bear it.
        jobs: IDs.

    Returns:
        How many processes would not die within some seconds.
    """
    begun = time.monotonic()
    killed: set[Member] = set()
    while True:
        found, dying = _find(scope, jobs)
        for member in found:
            signal_member(member, signal.SIGKILL)
        killed = {member for member in killed | found if lives(member)}
        passed = time.monotonic() - begun
        if passed >= _PATIENCE or (not killed and (not dying or passed >= _DYING_PATIENCE)):
            return len(killed)
        time.sleep(_POLL)


def _find(scope: str, jobs: Collection[str]) -> tuple[set[Member], bool]:
    """Find the processes that bear the marks, and whether any is dying, which bears none."""
    ours = {member.pid for member in descendants([os.getpid()])} | {os.getpid()}
    found: set[Member] = set()
    dying = False
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) in ours:
            continue
        member = member_of(int(name))  # before the marks: who has them then is known
        if member is None:
            continue
        marks = marks_of(member.pid, (JOB_MARK, NODE_MARK))
        if marks.get(NODE_MARK) == scope and marks.get(JOB_MARK) in jobs:
            found.add(member)
        elif not marks and is_exiting(member.pid) and lives(member):
            dying = True
    return found, dying
