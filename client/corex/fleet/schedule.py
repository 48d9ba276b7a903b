"""When which node of a run has its turn. Pure: told what happens, tells what may start.

Nodes are numbers here, in target order. The bounds are exact, because no more nodes run at once
than may still fail: whatever becomes of all that run, no more than `max_failures` have failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corex_shared.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run may do at once, and what may go wrong in it; None for no bound.

    Attributes:
        batch: nodes that run at once.
        canary: nodes, the first ones, that run alone: the others only if all of them succeeded.
        max_failures: nodes that fail, after which nothing more is started.
    """

    batch: int | None = None
    canary: int | None = None
    max_failures: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no bound.

        Raises:
            ConfigError: one is not a whole number, 1 or more; the error names it.
        """
        for name in ("batch", "canary", "max_failures"):
            _check(name, getattr(self, name))


def _check(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError("fleet", name, f"a whole number, 1 or more, is expected, not {value!r}")


class Schedule:
    """The turns of one run.

    Every node is told of in this order: it waits; it has its turn (`start`, or `started` when
    somebody else has started it) or is skipped (`skip`); it has ended (`ended`).
    """

    def __init__(self, names: Sequence[str], bounds: Bounds) -> None:
        """Begin with all nodes waiting.

        Args:
            names: of the nodes, for reasons.
            bounds: of the run.
        """
        self._names = names
        self._bounds = bounds
        self._waiting = dict.fromkeys(range(len(names)))
        self._running: set[int] = set()
        self._canaries = set(range(min(bounds.canary or 0, len(names))))
        self._failures = 0
        self._why = ""

    @property
    def running(self) -> frozenset[int]:
        """The nodes that have had their turn and have not ended."""
        return frozenset(self._running)

    @property
    def failures(self) -> int:
        """How many have failed."""
        return self._failures

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self._waiting

    @property
    def stopped(self) -> str:
        """Why nothing more is started; empty as long as something may be."""
        return self._why

    def start(self) -> list[int]:
        """Choose, in order, the nodes that have their turn now; they count as running."""
        room = self._room()
        chosen = [node for node in self._waiting if not self._canaries or node in self._canaries]
        chosen = chosen[:room]
        for node in chosen:
            self.started(node)
        return chosen

    def started(self, node: int) -> None:
        """Take note that a node has its turn: somebody has started it."""
        if node in self._waiting:
            del self._waiting[node]
            self._running.add(node)

    def ended(self, node: int, *, ok: bool) -> None:
        """Take note of how a node ended, whether it had its turn or not (it cannot be reached)."""
        if node not in self._running and node not in self._waiting:
            return
        self._running.discard(node)
        self._waiting.pop(node, None)
        was_canary = node in self._canaries
        if ok:
            self._canaries.discard(node)
            return
        self._failures += 1
        most = self._bounds.max_failures
        if was_canary:
            self.stop(f"the canary {self._names[node]} did not succeed")
        elif most is not None and self._failures >= most:
            failed = "1 node" if most == 1 else f"{most} nodes"
            self.stop(f"{failed} failed (max_failures={most})")

    def stop(self, why: str) -> None:
        """Start nothing more; the first reason counts."""
        self._why = self._why or why

    def skip(self) -> list[int]:
        """Take out those that shall never have their turn: all that wait, once it was stopped."""
        if not self._why:
            return []
        skipped = list(self._waiting)
        self._waiting.clear()
        return skipped

    def skipped(self, node: int, why: str) -> None:
        """Take note that somebody else has skipped a node."""
        self._waiting.pop(node, None)
        self.stop(why)

    def _room(self) -> int:
        if self._why:
            return 0
        running, room = len(self._running), len(self._waiting)
        if self._bounds.batch is not None:
            room = min(room, self._bounds.batch - running)
        if self._bounds.max_failures is not None:
            room = min(room, self._bounds.max_failures - self._failures - running)
        return max(0, room)
