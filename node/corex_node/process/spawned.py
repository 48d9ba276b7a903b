"""A program that a spawner has started, with everything that came of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from corex_node.process.exit_status import reap
from corex_node.process.stop import signal_group, signal_process
from corex_node.process.tree import Member, descendants, group_of, lives, signal_member, start_of


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

    def signal_all(self, number: int, orphans: Iterable[int]) -> None:
        """Send a signal to everything of it, wherever it went.

        Args:
            number: of the signal.
            orphans: children of the spawner that are of its job.
        """
        orphans = list(orphans)
        found = descendants([self.pid, *orphans])
        found.update(Member(pid, start_of(pid) or 0) for pid in orphans)
        self._asked = found
        strays = {
            member for member in found if not self._has_group or group_of(member.pid) != self.pid
        }
        self._strays |= strays
        for member in strays:
            signal_member(member, number)
        self.signal(number)

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
