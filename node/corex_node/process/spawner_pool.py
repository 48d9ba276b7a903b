"""The spawners of one manager: as many as can start programs at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from corex_node.process.spawner_link import Link, SpawnerLink
from corex_node.process.watcher import Watcher

_MOST = 2
"""A start waits for the disk and the memory, not for the spawner: two keep both busy."""


class Spawners(Protocol):
    """Whatever starts the programs of a manager."""

    def choose(self) -> Link:
        """Choose a spawner for the next child."""

    def pids(self) -> list[int]:
        """Process IDs of the spawners."""

    def close(self) -> None:
        """Let all of them end, with what they started."""


class SpawnerPool:
    """Gives each child to the spawner that has fewest."""

    def __init__(self, watcher: Watcher, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Start the spawners."""
        count = min(_MOST, len(os.sched_getaffinity(0)))
        self._links = [SpawnerLink(watcher, call_soon) for _ in range(count)]

    def choose(self) -> SpawnerLink:
        """Choose a spawner for the next child."""
        return min(self._links, key=lambda link: link.load)

    def pids(self) -> list[int]:
        """Process IDs of the spawners."""
        return [link.pid for link in self._links]

    def close(self) -> None:
        """Let all of them end, with what they started; blocks until they are gone."""
        for link in self._links:
            link.close()
