"""`node.stats`."""

from __future__ import annotations

from collections.abc import Mapping

from corex.ask import ASK_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.stats import StatsByName, Usage, monitor, node_usage, query_stats


class Stats(Namespace):
    """What a node and its jobs were measured at."""

    __slots__ = ()

    def query(
        self,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float = ASK_TIMEOUT,
    ) -> StatsByName:
        """Read metrics, by their names.

        Args:
            key: of the metric; all when None.
            tags: all of which a metric must have; `id` is one of them.
            timeout: seconds to wait for the answer.
        """
        return self._ask(query_stats(key, tags), timeout)

    def monitor(self, domain: str, *, timeout: float = ASK_TIMEOUT) -> None:
        """Have the machine measured now, for `query` to read.

        Args:
            domain: `cpu`, `memory`, `disk` or `network`.
            timeout: seconds to wait until it is done.

        Raises:
            JobFailed: there is no such domain; its code is 400.
        """
        self._ask(monitor(domain), timeout)

    def state(self, *, timeout: float = ASK_TIMEOUT) -> Usage:
        """Read what the agent and all its jobs use together."""
        return self._ask(node_usage(), timeout)


class AsyncStats(AsyncNamespace):
    """`Stats` with coroutines."""

    __slots__ = ()

    async def query(
        self,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        timeout: float = ASK_TIMEOUT,
    ) -> StatsByName:
        """Read metrics, by their names. See `Stats.query`."""
        return await self._ask(query_stats(key, tags), timeout)

    async def monitor(self, domain: str, *, timeout: float = ASK_TIMEOUT) -> None:
        """Have the machine measured now, for `query` to read. See `Stats.monitor`.

        Raises:
            JobFailed: there is no such domain; its code is 400.
        """
        await self._ask(monitor(domain), timeout)

    async def state(self, *, timeout: float = ASK_TIMEOUT) -> Usage:
        """Read what the agent and all its jobs use together."""
        return await self._ask(node_usage(), timeout)
