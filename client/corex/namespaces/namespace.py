"""What all namespaces of a node have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from corex.ask import Question, ask
from corex.effects import Plan

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.sync import Client

T = TypeVar("T")


class Namespace:
    """One family of built-ins of a node of a `Client`."""

    __slots__ = ("_client", "_node")

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._node = node

    def _ask(self, question: Question[T], timeout: float) -> T:
        return self._client.perform(ask(self._client.core, self._node, question, timeout))

    def _tidy(self, plan: Plan[None]) -> None:
        """Run a plan that takes away what another left, as far as the client is still open."""
        try:
            self._client.perform(plan)
        except RuntimeError:
            if not self._client.closed:
                raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._node}>"


class AsyncNamespace:
    """One family of built-ins of a node of an `AsyncClient`."""

    __slots__ = ("_client", "_node")

    def __init__(self, client: AsyncClient, node: str) -> None:
        self._client = client
        self._node = node

    async def _ask(self, question: Question[T], timeout: float) -> T:
        return await self._client.perform(ask(self._client.core, self._node, question, timeout))

    async def _tidy(self, plan: Plan[None]) -> None:
        """Run a plan that takes away what another left, as far as the client is still open."""
        try:
            await self._client.perform(plan)
        except RuntimeError:
            if not self._client.closed:
                raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._node}>"
