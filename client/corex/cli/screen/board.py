"""What a live view knows, and what its keys do. Pure: it reads no clock and asks nobody.

It is written to by the thread that asks and by the one that draws, under its lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from corex.cli.screen import keyboard
from corex.questions.jobs import JobEntry
from corex_shared.models import NodeInfo

HISTORY = 60
"""Values of a graph that are kept."""
JOB_SORTS = ("cpu", "mem", "age", "node")
NODE_SORTS = ("node", "load", "running", "queued")
PAGE = 10
"""Rows that Page Up and Page Down go."""


def _history() -> deque[float | None]:
    return deque(maxlen=HISTORY)


@dataclass(slots=True)
class NodeView:
    """One node, and how it was lately.

    Attributes:
        info: its last heartbeat.
        cpu: percent of all its processors, None where it did not tell.
        memory: percent of its memory.
        load: its load averages.
        processors: how many it has, 0 when that is not known.
        jobs: its jobs, as it last told.
        silent: it was asked, and did not answer.
        rounds: how often it has answered.
    """

    info: NodeInfo
    cpu: deque[float | None] = field(default_factory=_history)
    memory: deque[float | None] = field(default_factory=_history)
    load: deque[float | None] = field(default_factory=_history)
    processors: int = 0
    jobs: list[JobEntry] = field(default_factory=list)
    silent: bool = False
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class JobView:
    """One job of a node."""

    node: str
    entry: JobEntry

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.node, self.entry.id


@dataclass(frozen=True, slots=True)
class Room:
    """How many lines there are for each list."""

    nodes: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Kill:
    """The user has confirmed that a job be killed."""

    node: str
    job: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The user wants to leave."""


class Board:
    """The state of the view.

    Attributes:
        lock: to be held by whoever reads or writes.
        nodes: all nodes that are shown if the filter lets them, by ID.
        now_ms: the server's time when nodes were looked at last.
        away: why Redis cannot be asked; empty when it can.
        message: what is to be told of what was done last.
        filter: of node IDs: a glob, or a part of them.
        typing: the filter that is being typed; None when none is.
        asking: the job of which is asked whether to kill it.
        in_jobs: the keys go to the list of jobs, not to that of nodes.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.lock = threading.RLock()
        self.nodes: dict[str, NodeView] = {}
        self.now_ms = 0
        self.away = ""
        self.message = ""
        self.filter = ""
        self.typing: str | None = None
        self.asking: JobView | None = None
        self.in_jobs = True
        self.job_sort = 0
        self.node_sort = 0
        self._room = Room(10, 10)
        self._node, self._node_at, self._node_top = "", 0, 0
        self._job, self._job_at, self._job_top = ("", ""), 0, 0

    # -- what was heard

    def heard_nodes(self, infos: Sequence[NodeInfo], now_ms: int) -> None:
        """Take all heartbeats."""
        self.away = ""
        self.now_ms = now_ms
        known, self.nodes = self.nodes, {}
        for info in infos:
            view = known.get(info.id) or NodeView(info)
            view.info = info
            view.load.append(info.load if info.alive else None)
            if not info.alive:
                view.jobs, view.silent, view.rounds = [], False, 0
            self.nodes[info.id] = view

    def heard_jobs(self, node: str, jobs: Sequence[JobEntry]) -> None:
        """Take the jobs of a node."""
        view = self.nodes.get(node)
        if view is not None:
            view.jobs, view.silent = list(jobs), False
            view.rounds += 1

    def heard_usage(
        self, node: str, cpu: float | None, memory: float | None, processors: int = 0
    ) -> None:
        """Take what a node is at, in percent; None for what it did not tell."""
        view = self.nodes.get(node)
        if view is not None:
            view.processors = processors or view.processors
            view.cpu.append(cpu)
            view.memory.append(memory)

    def heard_nothing(self, node: str) -> None:
        """Take note that a node did not answer."""
        view = self.nodes.get(node)
        if view is not None:
            view.silent = True

    def forget_unseen(self, asked: Sequence[str]) -> None:
        """Drop the jobs of nodes that are no longer asked: they would be shown as they were."""
        wanted = set(asked)
        for name, view in self.nodes.items():
            if name not in wanted:
                view.jobs, view.silent, view.rounds = [], False, 0
                view.cpu.clear()
                view.memory.clear()

    # -- what is shown

    def set_room(self, room: Room) -> None:
        """Say how many lines there are."""
        self._room = room

    def ordered_nodes(self) -> list[NodeView]:
        """List the nodes that the filter lets through, in their order."""
        chosen = [view for name, view in self.nodes.items() if self._lets(name)]
        match NODE_SORTS[self.node_sort]:
            case "load":
                chosen.sort(key=lambda view: -view.info.load)
            case "running":
                chosen.sort(key=lambda view: -view.info.running)
            case "queued":
                chosen.sort(key=lambda view: -view.info.queued)
        return chosen

    def _lets(self, name: str) -> bool:
        pattern = self.filter if self.typing is None else self.typing
        return not pattern or pattern in name or fnmatchcase(name, pattern)

    def shown_nodes(self) -> tuple[list[NodeView], int, int]:
        """List the nodes that have a line; with the place of the first, and of the chosen one."""
        every = self.ordered_nodes()
        names = [view.info.id for view in every]
        self._node_at = _place(names, self._node, self._node_at)
        self._node = names[self._node_at] if names else ""
        self._node_top = _scrolled(self._node_top, self._node_at, len(every), self._room.nodes)
        top = self._node_top
        return every[top : top + self._room.nodes], top, self._node_at

    def ordered_jobs(self) -> list[JobView]:
        """List the jobs of the nodes that are shown, in their order."""
        views, _, _ = self.shown_nodes()
        jobs = [JobView(view.info.id, entry) for view in views for entry in view.jobs]
        match JOB_SORTS[self.job_sort]:
            case "cpu":
                jobs.sort(key=lambda job: (-job.entry.cpu, not job.entry.pid, job.key))
            case "mem":
                jobs.sort(key=lambda job: (-job.entry.rss, not job.entry.pid, job.key))
            case "age":
                jobs.sort(key=lambda job: (job.entry.starttime or float("inf"), job.key))
            case "node":
                jobs.sort(key=lambda job: job.key)
        return jobs

    def shown_jobs(self) -> tuple[list[JobView], int, int]:
        """List the jobs that have a line; with the place of the first, and of the chosen one."""
        every = self.ordered_jobs()
        keys = [job.key for job in every]
        self._job_at = _place(keys, self._job, self._job_at)
        self._job = keys[self._job_at] if keys else ("", "")
        self._job_top = _scrolled(self._job_top, self._job_at, len(every), self._room.jobs)
        return every[self._job_top : self._job_top + self._room.jobs], self._job_top, self._job_at

    def to_ask(self) -> list[str]:
        """Name the nodes that are to be asked: those that have a line, and are there."""
        views, _, _ = self.shown_nodes()
        return [view.info.id for view in views if view.info.alive]

    # -- keys

    def press(self, key: str) -> Kill | Quit | None:
        """Do what a key is for.

        Returns:
            What is to be done outside; None if nothing is.
        """
        if self.asking is not None:
            return self._answer(key)
        if self.typing is not None:
            self._type(key)
            return None
        self.message = ""
        if key == "q":
            return Quit()
        if key == "/":
            self.typing = self.filter
        elif key == keyboard.ESCAPE:
            self.filter = ""
        elif key == keyboard.TAB:
            self.in_jobs = not self.in_jobs
        elif key == "s":
            self._sort()
        elif key == "x":
            self._ask_to_kill()
        else:
            self._move(key)
        return None

    def _answer(self, key: str) -> Kill | None:
        job, self.asking = self.asking, None
        if job is None or key not in ("y", "Y"):
            self.message = "not killed"
            return None
        self.message = f"killing {job.entry.id} on {job.node} …"
        return Kill(job.node, job.entry.id)

    def _type(self, key: str) -> None:
        assert self.typing is not None
        if key == keyboard.ENTER:
            self.filter, self.typing = self.typing, None
        elif key == keyboard.ESCAPE:
            self.typing = None
        elif key == keyboard.BACKSPACE:
            self.typing = self.typing[:-1]
        elif len(key) == 1 and key.isprintable():
            self.typing += key

    def _sort(self) -> None:
        if self.in_jobs:
            self.job_sort = (self.job_sort + 1) % len(JOB_SORTS)
        else:
            self.node_sort = (self.node_sort + 1) % len(NODE_SORTS)

    def _ask_to_kill(self) -> None:
        jobs = self.ordered_jobs()
        chosen = next((job for job in jobs if job.key == self._job), None)
        if chosen is None:
            self.message = "there is no job to kill"
        elif not self.in_jobs:
            self.message = "Tab goes to the jobs; choose one there"
        else:
            self.asking = chosen

    def _move(self, key: str) -> None:
        steps = {
            keyboard.UP: -1,
            "k": -1,
            keyboard.DOWN: 1,
            "j": 1,
            keyboard.PAGE_UP: -PAGE,
            keyboard.PAGE_DOWN: PAGE,
            keyboard.HOME: -(10**9),
            "g": -(10**9),
            keyboard.END: 10**9,
            "G": 10**9,
        }
        step = steps.get(key)
        if step is None:
            return
        if self.in_jobs:
            keys = [job.key for job in self.ordered_jobs()]
            self._job_at = _within(self._job_at + step, len(keys))
            self._job = keys[self._job_at] if keys else ("", "")
        else:
            names = [view.info.id for view in self.ordered_nodes()]
            self._node_at = _within(self._node_at + step, len(names))
            self._node = names[self._node_at] if names else ""


def _place(keys: Sequence[object], key: object, before: int) -> int:
    """Find the place of what was chosen; of what has gone, the place where it was."""
    return keys.index(key) if key in keys else _within(before, len(keys))


def _within(place: int, count: int) -> int:
    return max(0, min(place, count - 1))


def _scrolled(top: int, chosen: int, count: int, room: int) -> int:
    """Scroll no further than needed to have the chosen line on the screen, and no empty ones."""
    top = min(max(top, chosen - room + 1), chosen)
    return max(0, min(top, count - room))
