"""All groups that a node takes part in; renews their leases for the heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import structlog

from corex_node.group import Group, GroupParts, MakeIntake, disown
from corex_node.group_store import renewal
from corex_node.manager.jobs import Job
from corex_node.places import Place
from corex_node.ticket import Ticket
from corex_shared.endings import end
from corex_shared.scripts import Call

_END_PATIENCE = 5.0

_log = structlog.get_logger()


class Groups:
    """All groups that a node takes part in; renews their leases for the heartbeat."""

    def __init__(self, names: Sequence[str], parts: GroupParts) -> None:
        """Begin outside of them. To be called within a running event loop."""
        self._groups = [Group(name, parts) for name in dict.fromkeys(names)]
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._quiet = False
        self._asked: list[tuple[Group, int]] = []

    @property
    def names(self) -> list[str]:
        """Of the groups."""
        return [group.place.group for group in self._groups]

    async def run(self, make_intake: MakeIntake) -> None:
        """Take part in all of them; to be cancelled.

        Args:
            make_intake: makes the way in from a group's list.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        if not self._groups:
            return
        parts = [asyncio.create_task(group.run(make_intake)) for group in self._groups]
        try:
            await asyncio.gather(*parts)
        finally:
            await end(parts, _END_PATIENCE)

    async def settled(self) -> None:
        """Return when nothing is being admitted any more; to be awaited after `run` was ended."""
        for group in self._groups:
            await group.settled()

    async def go_quiet(self) -> None:
        """Have no more commands claimed.

        Raises:
            StoreError: Redis cannot be reached.
        """
        self._quiet = True
        if self._groups:
            await self._parts.groups.go_quiet(self._places(), self._parts.lease_ms)

    async def leave(self) -> None:
        """Give the leases back, at the end.

        Raises:
            StoreError: Redis cannot be reached; they end by themselves.
        """
        for group in self._groups:
            group.held = False
        if self._groups:
            await self._parts.groups.leave(self._places())

    def disown(self, jobs: Sequence[Job]) -> None:
        """End jobs of groups whose lease was found to be lost."""
        disown(self._parts.manager, jobs)
        names = {cast("Ticket", job.origin).group for job in jobs}
        for group in self._groups:
            if group.place.group in names:
                group.lose(group.joined)

    def places(self) -> list[Place]:
        """Those of the groups whose lease is held."""
        return [group.place for group in self._groups if group.held]

    def _places(self) -> list[Place]:
        return [group.place for group in self._groups]

    # -- renewal, in the heartbeat's thread ---------------------------------------------------

    def calls(self) -> list[Call]:
        """Make the commands that renew the leases."""
        self._asked = [(group, group.joined) for group in self._groups if group.held]
        lease_ms, quiet = self._parts.lease_ms, self._quiet
        return [renewal(group.place, lease_ms, quiet=quiet) for group, _ in self._asked]

    def heard(self, answers: list[Any]) -> None:
        """Take the answers: what was lost is told to the event loop."""
        for (group, joined), answer in zip(self._asked, answers, strict=True):
            if answer == 1:
                group.renewed(joined)
            elif answer == 0:
                self._loop.call_soon_threadsafe(group.lose, joined)
            else:
                _log.error("group.refused", group=group.place.group, reason=str(answer))
