"""Makes the ways in of a node: from its own lists, and from those of its groups."""

from __future__ import annotations

import asyncio

from corex_node.admission import Admission
from corex_node.intake import Intake
from corex_node.manager.manager import ProcessManager
from corex_node.numbers import ClaimNumbers
from corex_node.outbox import Outbox
from corex_node.places import Place
from corex_node.room import CommandRoom, ControlRoom
from corex_node.store import NodeStore
from corex_node.ticket import Source


class IntakeMaker:
    """Makes the intakes of one agent, which share its slots."""

    def __init__(
        self,
        store: NodeStore,
        admission: Admission,
        manager: ProcessManager,
        outbox: Outbox,
        numbers: ClaimNumbers,
        payload_limit: int,
    ) -> None:
        """Take the parts that all of them work with; see `Intake`."""
        self._store = store
        self._admission = admission
        self._room = CommandRoom(manager, outbox)
        self._numbers = numbers
        self._payload_limit = payload_limit
        self._turn = asyncio.Lock()

    def own(self, *, shared: bool) -> list[Intake]:
        """Make those of the node's own lists.

        Args:
            shared: whether lists of groups share its slots.
        """
        parts = (self._store, self._admission)
        rest = (self._numbers, self._payload_limit)
        commands, control = (self._store.place(source) for source in Source)
        return [
            Intake(commands, *parts, self._room, *rest, self._turn if shared else None),
            Intake(control, *parts, ControlRoom(), *rest),
        ]

    def of_group(self, place: Place) -> Intake:
        """Make that of a group's list."""
        parts = (self._store, self._admission, self._room, self._numbers, self._payload_limit)
        return Intake(place, *parts, self._turn)
