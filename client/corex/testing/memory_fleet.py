"""A fleet in memory: a client, and the nodes at its other end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from corex.aio import AsyncClient
from corex.sync import Client
from corex.testing.engine import Engine
from corex.testing.node import SLOTS, MemoryNode
from corex.testing.server import Server
from corex.testing.store import Store
from corex_shared.errors import NoSuchNodeError
from corex_shared.keys import DEFAULT_NAMESPACE, Keys


class MemoryFleet(Client):
    """A `corex.Client` whose Redis and nodes are in memory. `close` ends them all.

    Other clients reach it by its `url`, in this process only.

    Attributes:
        url: of its Redis, for `corex.Client`, `corex.AsyncClient` and COREX_URL.
    """

    def __init__(self, namespace: str | None = None) -> None:
        """Make a fleet without nodes.

        Args:
            namespace: of its keys; "corex" unless given, whatever COREX_NAMESPACE says.

        Raises:
            ConfigError: what it needs is not installed.
        """
        self._server = Server()
        self.url = self._server.url
        name = namespace or DEFAULT_NAMESPACE
        super().__init__(self.url, namespace=name)
        self._engine = Engine(Store(self._server.inner_url, Keys(name)))
        self._engine.start()

    def add(
        self,
        node: str,
        *,
        groups: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        slots: int = SLOTS,
    ) -> MemoryNode:
        """Make a node, which is there at once.

        Args:
            node: its ID.
            groups: whose commands it takes, too.
            labels: by which it is found, too.
            slots: how many jobs it runs at once.

        Raises:
            InvalidIdError: no node, or group, can have that ID.
            ValueError: there is a node of that ID.
        """
        made = MemoryNode(
            self._engine, node, groups=tuple(groups), labels=labels or {}, slots=slots
        )
        with self._engine.lock:
            if node in self._engine.nodes:
                raise ValueError(f"there is a node {node} already")
            self._engine.nodes[node] = made
        made.come_back()
        return made

    def memory_node(self, node: str) -> MemoryNode:
        """Take a node in hand as its maker: to say what it answers, and see what it was asked.

        Raises:
            NoSuchNodeError: the fleet has none of that ID.
        """
        with self._engine.lock:
            if node not in self._engine.nodes:
                raise NoSuchNodeError(f"no such node: {node}")
            return self._engine.nodes[node]

    @property
    def memory_nodes(self) -> list[MemoryNode]:
        """All nodes of the fleet, in the order in which they were made."""
        with self._engine.lock:
            return list(self._engine.nodes.values())

    def async_client(self) -> AsyncClient:
        """Make an asyncio client of the fleet, to be closed by whoever asks."""
        return AsyncClient(self.url, namespace=self.core.keys.namespace)

    @property
    def redis_away(self) -> bool:
        """Whether nobody reaches Redis; set it to cut all off, and again to let them back."""
        return self._server.away

    @redis_away.setter
    def redis_away(self, away: bool) -> None:
        self._server.away = away

    def close(self) -> None:
        """End the client, the nodes and their Redis."""
        if self.closed:
            return
        super().close()
        self._engine.close()
        self._server.close()


def fleet(nodes: Iterable[str] = (), *, namespace: str | None = None) -> MemoryFleet:
    """Make a fleet in memory, to be used in a `with` statement.

    Args:
        nodes: IDs of its nodes; `MemoryFleet.add` makes more, with groups and labels.
        namespace: of its keys; "corex" unless given.

    Raises:
        ConfigError: what it needs is not installed.
        InvalidIdError: no node can have that ID.
    """
    made = MemoryFleet(namespace)
    try:
        for node in nodes:
            made.add(node)
    except BaseException:
        made.close()
        raise
    return made
