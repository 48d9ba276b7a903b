"""What the channel of events hears of the node itself: it has started, stopped, or was away."""

from __future__ import annotations

from corex_node.events import Events
from corex_node.leases import Identity
from corex_node.store import NodeStore
from corex_shared.version import __version__

_LONGEST_REASON = 256
"""Characters of a reason."""


class NodeLife:
    """Tells of one agent."""

    def __init__(self, events: Events, store: NodeStore, identity: Identity) -> None:
        """Nothing is told yet."""
        self._events = events
        self._store = store
        self._identity = identity
        self._started = False

    def started(self, recovered: int) -> None:
        """The agent serves the node, and has settled so many commands of its predecessor."""
        who = self._identity
        self._started = True
        self._events.node(
            "node.started",
            incarnation=who.incarnation,
            version=__version__,
            host=who.host,
            pid=who.pid,
            groups=who.groups,
            recovered=recovered,
        )

    def lapsed(self) -> None:
        """The lease has run out; Redis may well be away, and be told when it is back."""
        self._events.node("node.lapsed", incarnation=self._identity.incarnation)

    def returned(self) -> None:
        """The lease is held again."""
        self._events.node("node.returned", incarnation=self._identity.incarnation)

    async def stopped(self, why: str) -> None:
        """The agent ends: tell it now, with all that was not told yet.

        Raises:
            StoreError: Redis is away.
        """
        if self._started:
            told = why[:_LONGEST_REASON]
            self._events.node("node.stopped", incarnation=self._identity.incarnation, why=told)
            await self._store.tell(self._events.take())
