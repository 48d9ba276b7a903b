"""How many commands may be claimed: for each list of a node a rule of its own."""

from __future__ import annotations

from typing import Protocol

from corex_node.manager.manager import ProcessManager
from corex_node.outbox import Outbox

_CONTROL_BATCH = 64
_RESULTS_WAITING = 20_000
"""Results waiting for Redis beyond which nothing more is claimed."""


class Room(Protocol):
    """How much more a node can take off one list."""

    @property
    def size(self) -> int:
        """The most that there can ever be room for."""

    def free(self) -> int:
        """Commands that may be claimed now."""

    async def wait(self, enough: int) -> None:
        """Return when that many may be claimed; the caller bounds the wait."""


class CommandRoom:
    """Commands need a free slot, and their results a place to wait."""

    def __init__(self, manager: ProcessManager, outbox: Outbox) -> None:
        """Go by a manager's slots and an outbox's backlog."""
        self._manager = manager
        self._outbox = outbox

    @property
    def size(self) -> int:
        """All slots."""
        return self._manager.limits.max_jobs

    def free(self) -> int:
        """Free slots, or 0 while too many results wait."""
        return max(0, min(self._manager.capacity(), _RESULTS_WAITING - self._outbox.backlog))

    async def wait(self, enough: int) -> None:
        """Return when that many slots are free and results go out."""
        while self.free() < enough:
            if self._manager.capacity() >= enough:
                await self._outbox.flushed()
            else:
                await self._manager.wait_for_capacity(enough)


class ControlRoom:
    """Commands on the control list wait for nothing."""

    @property
    def size(self) -> int:
        """One batch."""
        return _CONTROL_BATCH

    def free(self) -> int:
        """Always one batch."""
        return _CONTROL_BATCH

    async def wait(self, enough: int) -> None:
        """Return at once."""
