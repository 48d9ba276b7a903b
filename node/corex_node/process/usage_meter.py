"""What trees of processes use between two looks at them.

The processor time of a tree is that of its processes with that of the children they have reaped,
so that short-lived ones count too. What a process has used is not counted again when its parent
reaps it: the sum for the whole tree stays the same then.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from corex_node.process.orphans import job_of
from corex_node.process.process_table import (
    TICKS,
    ProcessEntry,
    ProcessTable,
    read_processes,
    swap_is_used,
    swapped,
)
from corex_node.process.usage import Usage

_SHORTEST = 1.0
"""Seconds over which the agent's processor time is measured at least."""

_Process = tuple[int, int]  # number and start: no other process has both


class Reading(Struct, frozen=True):
    """Processor time of a tree at one moment.

    Attributes:
        taken: seconds since the boot.
        began: when the oldest of its processes started, in seconds since the boot.
        total: clock ticks of all of them.
        ticks: of each.
        strays: those whose parent is not of the tree; it keeps the time of what it reaps.
    """

    taken: float
    began: float
    total: int
    ticks: dict[_Process, int]
    strays: frozenset[_Process]


def read_tree(table: ProcessTable, tree: Mapping[int, ProcessEntry]) -> Reading:
    """Read the processor time of a tree, which has at least one process."""
    ticks = {(entry.pid, entry.started): entry.ticks for entry in tree.values()}
    strays = frozenset(
        (entry.pid, entry.started) for entry in tree.values() if entry.parent not in tree
    )
    began = min(entry.started for entry in tree.values()) / TICKS
    return Reading(table.taken, began, sum(ticks.values()), ticks, strays)


def cpu_percent(now: Reading, before: Reading | None) -> float:
    """Percent of one core that a tree used since an earlier reading, or since it began."""
    used = now.total
    since = now.began
    if before is not None:
        since = before.taken
        lost = sum(before.ticks[stray] for stray in before.strays if stray not in now.ticks)
        used -= before.total - lost
    passed = max(now.taken - since, 1 / TICKS)
    return max(used, 0) / TICKS / passed * 100


class UsageMeter:
    """Measures the trees of jobs, many in one pass over /proc. To be used by one thread at a time.

    A job's tree is its main process, whatever descends from it, what is in its session, and what
    has left both but bears its mark.
    """

    def __init__(self) -> None:
        """Begin without a reading."""
        self._readings: dict[str, Reading] = {}
        self._marks: dict[_Process, str | None] = {}

    def measure(self, jobs: Mapping[str, int]) -> dict[str, Usage]:
        """Measure jobs; the processor's share is of the time since each was measured last.

        Blocks on /proc.

        Args:
            jobs: job ID → process ID of the main process.

        Returns:
            Job ID → usage, of those of which anything is left.
        """
        table = read_processes()
        swapping = swap_is_used()
        strays = self._strays(table, jobs)
        usages: dict[str, Usage] = {}
        for job, pid in jobs.items():
            tree = table.trees([pid, *table.session(pid), *strays.get(job, ())])
            if not any(entry.vms for entry in tree.values()):  # gone, or not yet reaped
                self._readings.pop(job, None)
                continue
            reading = read_tree(table, tree)
            before = self._readings.get(job)
            self._readings[job] = reading
            usages[job] = usage_of_tree(tree, cpu_percent(reading, before), swapping)
        return usages

    def forget_all_but(self, jobs: Collection[str]) -> None:
        """Keep the readings of these jobs only."""
        self._readings = {job: kept for job, kept in self._readings.items() if job in jobs}

    def _strays(self, table: ProcessTable, jobs: Mapping[str, int]) -> dict[str, list[int]]:
        """Find what jobs left to the reaper of their main processes, by its mark."""
        roots = set(jobs.values())
        reapers = {table.entries[pid].parent for pid in roots if pid in table.entries}
        marks: dict[_Process, str | None] = {}
        found: dict[str, list[int]] = {}
        for pid in (child for reaper in reapers for child in table.children(reaper)):
            entry = table.entries[pid]
            if pid in roots or entry.session in roots:
                continue
            process = (pid, entry.started)
            mark = self._marks[process] if process in self._marks else job_of(pid)
            marks[process] = mark
            if mark is not None:
                found.setdefault(mark, []).append(pid)
        self._marks = marks
        return found


def usage_of_tree(tree: Mapping[int, ProcessEntry], cpu: float, swapping: bool) -> Usage:
    """Sum up what a tree uses; blocks on /proc when there is swap."""
    return Usage(
        cpu,
        sum(entry.rss for entry in tree.values()),
        sum(entry.vms for entry in tree.values()),
        sum(swapped(pid) for pid in tree) if swapping else 0,
    )


class AgentMeter:
    """Measures the agent and all that it runs as one; may be used by several threads.

    The processor's share is of the time since a measurement that is at least a second old, at first
    since the agent began: two who ask at once do not spoil each other's answers.
    """

    def __init__(self) -> None:
        """Begin without a reading."""
        self._lock = threading.Lock()
        self._older: Reading | None = None
        self._newer: Reading | None = None

    def measure(self, agent: int, roots: Iterable[int]) -> Usage:
        """Measure a process, and others with all their descendants; each once. Blocks on /proc.

        Args:
            agent: process ID of the agent; its other children are not its jobs.
            roots: process IDs of what it runs.
        """
        table = read_processes()
        tree = table.trees(roots)
        if agent in table.entries:
            tree[agent] = table.entries[agent]
        if not tree:
            return Usage()
        cpu = self._cpu(read_tree(table, tree))
        return usage_of_tree(tree, cpu, swap_is_used())

    def _cpu(self, reading: Reading) -> float:
        with self._lock:
            if self._newer is None or reading.taken - self._newer.taken >= _SHORTEST:
                self._older, self._newer = self._newer, reading
            return cpu_percent(reading, self._older)
