"""`aggregator.query`, `monitor`."""

from __future__ import annotations

from typing import Any

import msgspec

from corex_node.manager.registry import Registry
from corex_node.statistics.monitors import Monitors
from corex_node.statistics.statistics import Statistics
from corex_shared.errors import BadRequestError


class QueryArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `aggregator.query`.

    Attributes:
        key: of the metric; all metrics when null or empty.
        tags: all of which a metric must have.
    """

    key: str | None = None
    tags: dict[str, str] | None = None


class MonitorArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `monitor`: what is measured, in upper or lower case."""

    domain: str


def register(registry: Registry, statistics: Statistics, monitors: Monitors) -> None:
    """Add the commands to a registry.

    Args:
        registry: which gets them.
        statistics: of the node.
        monitors: of the machine.
    """

    @registry.command("aggregator.query", QueryArguments, repeatable=True)
    async def query(arguments: QueryArguments) -> dict[str, dict[str, Any]]:
        """Answer the figures of metrics, by their names."""
        return await statistics.query(arguments.key or None, arguments.tags)

    @registry.command("monitor", MonitorArguments)
    def monitor(arguments: MonitorArguments) -> None:
        """Measure the machine, for the statistics.

        Raises:
            BadRequestError: there is no such domain.
        """
        domain = arguments.domain.lower()
        if domain not in monitors.domains:
            known = ", ".join(monitors.domains)
            raise BadRequestError(f"domain: {arguments.domain}: one of {known} expected")
        statistics.add_all(monitors.measure(domain))
