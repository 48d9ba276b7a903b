"""A program that a spawner has started, with everything that came of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable

from corex_node.process.exit_status import reap
from corex_node.process.stop import signal_group, signal_process
from corex_node.process.tree import (
    Member,
    descendants,
    group_of,
    is_still,
    lives,
    member_of,
    signal_member,
)

_FREEZES = 20
"""Passes over a tree until nothing in it moves."""
_FREEZE_PAUSE = 0.001

Orphans = Callable[[], Iterable[int]]


class Spawned:
    """A child of a spawner, until nothing of it is left.

    Attributes:
        number: by which the agent knows it.
        pid: of its main process, which stays a zombie, and so keeps its number, to the end.
        pidfd: descriptor of that.
        job: ID of its job, None for none.
        started: no later than it began, in clock ticks from the boot.
    """

    __slots__ = ("_asked", "_has_group", "_strays", "job", "number", "pid", "pidfd", "started")

    def __init__(
        self, number: int, pid: int, pidfd: int, job: str | None, has_group: bool, started: int
    ) -> None:
        """Take note of it; `has_group` says whether it leads a process group."""
        self.number = number
        self.pid = pid
        self.pidfd = pidfd
        self.job = job
        self.started = started
        self._has_group = has_group
        self._asked: set[Member] = set()  # all of its tree when it was asked to end
        self._strays: set[Member] = set()  # those of them that were not in its group

    def signal(self, number: int) -> None:
        """Send a signal to its group."""
        if self._has_group:
            signal_group(self.pid, number)
        else:
            signal_process(self.pid, number)

    def signal_all(self, number: int, orphans: Orphans) -> None:
        """Send a signal to everything of it, wherever it went. KILL ends all of it.

        Args:
            number: of the signal.
            orphans: looks for children of the spawner that are of its job.
        """
        if number == signal.SIGKILL:
            self._freeze(orphans)
        found = self._tree(orphans)
        self._asked = set(found)
        strays = [
            member for member in found if not self._has_group or group_of(member.pid) != self.pid
        ]
        self._strays.update(strays)
        # A parent is not to learn of a stop by the end of its child, nor to be woken by a kill.
        if number == signal.SIGKILL:
            _signal(reversed(strays), number)
            self.signal(number)
        else:
            self.signal(number)
            _signal(strays, number)

    def _tree(self, orphans: Orphans) -> list[Member]:
        """List all of it but its main process, parents before their children."""
        left = [member for pid in orphans() if (member := member_of(pid)) is not None]
        return left + descendants([self.pid, *(member.pid for member in left)])

    def _freeze(self, orphans: Orphans) -> None:
        """Have everything of it stand still, so that nothing of it can get away.

        Who stands still begets nobody unseen, and does not end, which would leave its children
        without a trace of whose they are.
        """
        main = member_of(self.pid)
        still: set[Member | None] = set()
        for _ in range(_FREEZES):
            members = [main, *self._tree(orphans)]
            if still.issuperset(members):
                return
            self.signal(signal.SIGSTOP)
            for member in members:
                if member is None or is_still(member):
                    still.add(member)
                else:
                    signal_member(member, signal.SIGSTOP)
            if not still.issuperset(members):
                time.sleep(_FREEZE_PAUSE)

    def is_ending(self) -> bool:
        """Whether any of those that were asked to end, but for the main process, still runs."""
        return any(lives(member) for member in self._asked)

    def end(self) -> None:
        """Kill its group and what is known to have left it, and give up its number."""
        self.signal(signal.SIGKILL)
        for member in self._strays:
            signal_member(member, signal.SIGKILL)
        reap(self.pidfd)
        os.close(self.pidfd)


def _signal(members: Iterable[Member], number: int) -> None:
    for member in members:
        signal_member(member, number)
