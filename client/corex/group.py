"""A group of nodes as callers hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corex.addressee import Addressee, AsyncAddressee
from corex.nodes import list_nodes, nodes_of_group
from corex.targets import group_target
from corex_shared.models import NodeInfo

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.sync import Client


class Group(Addressee):
    """One group of nodes of a `Client`; made without asking whether it has any.

    Each command is run by exactly one of its nodes: one that has a free slot. Until there is one
    it waits.
    """

    __slots__ = ("id",)

    def __init__(self, client: Client, group: str) -> None:
        super().__init__(client, group_target(group))
        self.id = group

    def nodes(self) -> list[NodeInfo]:
        """Read which nodes of the group are alive, by ID.

        Raises:
            StoreError: Redis cannot be reached.
        """
        return nodes_of_group(self._client.perform(list_nodes(self._client.core)), self.id)

    def __repr__(self) -> str:
        return f"<Group {self.id}>"


class AsyncGroup(AsyncAddressee):
    """One group of nodes of an `AsyncClient`: `Group` with coroutines."""

    __slots__ = ("id",)

    def __init__(self, client: AsyncClient, group: str) -> None:
        super().__init__(client, group_target(group))
        self.id = group

    async def nodes(self) -> list[NodeInfo]:
        """Read which nodes of the group are alive, by ID.

        Raises:
            StoreError: Redis cannot be reached.
        """
        return nodes_of_group(await self._client.perform(list_nodes(self._client.core)), self.id)

    def __repr__(self) -> str:
        return f"<AsyncGroup {self.id}>"
