"""Makes the ways in of a node: from its own lists, and from those of its groups."""

from __future__ import annotations

import asyncio

from corex_node.intake import Intake, IntakeParts
from corex_node.places import Place
from corex_node.room import CommandRoom, ControlRoom
from corex_node.ticket import Source


class IntakeMaker:
    """Makes the intakes of one agent, which share its slots."""

    def __init__(self, parts: IntakeParts, room: CommandRoom) -> None:
        """Take what all of them work with, and what bounds those that need slots."""
        self._parts = parts
        self._room = room
        self._turn = asyncio.Lock()

    def own(self, *, shared: bool) -> list[Intake]:
        """Make those of the node's own lists.

        Args:
            shared: whether lists of groups share its slots.
        """
        commands, control = (self._parts.store.place(source) for source in Source)
        return [
            Intake(commands, self._room, self._parts, self._turn if shared else None),
            Intake(control, ControlRoom(), self._parts),
        ]

    def of_group(self, place: Place) -> Intake:
        """Make that of a group's list."""
        return Intake(place, self._room, self._parts, self._turn)
