"""Remembers in Redis that jobs which waited run now, before they do."""

from __future__ import annotations

from typing import cast

from corex_node.manager.jobs import Job
from corex_node.patience import until_available
from corex_node.records import Filing
from corex_node.store import NodeStore
from corex_node.ticket import Ticket
from corex_shared.states import Stage


class StartJournal:
    """The journal of a process manager that writes to Redis."""

    def __init__(self, store: NodeStore, node: str) -> None:
        """Write to a node's store."""
        self._store = store
        self._node = node

    async def running(self, jobs: list[Job]) -> None:
        """Return when it is written; waits for Redis as long as it takes.

        Raises:
            LeaseLostError: another agent serves the node; the jobs must not start.
        """
        filings = [self._filing(job) for job in jobs if not job.entry.repeatable]
        if not filings:
            return
        await until_available(lambda: self._store.mark(filings))

    def _filing(self, job: Job) -> Filing:
        ticket = cast("Ticket", job.origin)
        return Filing(job.id, job.id, ticket.claim(self._node), Stage.RUNNING)
