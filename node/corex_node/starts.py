"""Remembers in Redis that jobs which waited run now, before they do, and that they wait again."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from corex_node.faults import FAULTS, MARKED
from corex_node.manager.jobs import Job
from corex_node.patience import until_available
from corex_node.records import Filing, Runs
from corex_node.store import NodeStore
from corex_node.ticket import Ticket
from corex_shared.states import Stage


class StartJournal:
    """The journal of a process manager that writes to Redis.

    Attributes:
        on_lost: hears of jobs that must not run here: they are no longer this node's.
    """

    def __init__(self, store: NodeStore, node: str) -> None:
        """Write to a node's store."""
        self._store = store
        self._node = node
        self.on_lost: Callable[[list[Job]], None] = lambda jobs: None

    async def running(self, jobs: list[Job]) -> None:
        """Return when it is written; waits for Redis as long as it takes.

        Raises:
            LeaseLostError: another agent serves the node; the jobs must not start.
        """
        await self._mark(jobs, Stage.RUNNING)
        FAULTS.reach(MARKED)

    async def waiting(self, jobs: list[Job]) -> None:
        """Return when it is written; waits for Redis as long as it takes.

        Raises:
            LeaseLostError: another agent serves the node.
        """
        await self._mark(jobs, Stage.WAITING)

    async def _mark(self, jobs: list[Job], stage: Stage) -> None:
        filings = [self._filing(job, stage) for job in jobs if not job.entry.repeatable]
        if filings:
            lost = await until_available(lambda: self._store.mark(filings))
            if lost:
                self.on_lost([job for job in jobs if cast("Ticket", job.origin).group in lost])

    def _filing(self, job: Job, stage: Stage) -> Filing:
        ticket = cast("Ticket", job.origin)
        runs = Runs(job.runs, job.policy.failed_runs) if job.policy is not None else None
        return Filing(job.id, job.id, ticket.claim(self._node), stage, ticket.group, runs)
