"""Starts jobs that waited, as slots become free.

What callers asked for is journalled before it starts, so that a crash is settled rightly: with
Redis away it waits for that. Jobs of code inside the node, such as services, are nobody else's
business: they start at once, however long the journal takes for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from corex_node.manager.jobs import Job
from corex_node.manager.lineup import Lineup
from corex_node.manager.ports import Journal
from corex_shared.endings import end

_END_PATIENCE = 5.0


class Starter:
    """Gives free slots to those who are ready, and has them started."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        max_jobs: int,
        journal: Journal,
        start: Callable[[Job], object],
    ) -> None:
        """Begin with none waiting.

        Args:
            jobs: those that have not ended, by ID.
            max_jobs: slots.
            journal: remembers who runs and who waits for a further run.
            start: starts a job that has its slot.
        """
        self._jobs = jobs
        self._journal = journal
        self._start = start
        self._wake = asyncio.Event()  # something became ready, or a slot free
        self._to_write = asyncio.Event()
        self._unwritten: list[Job] = []  # have their slots, and wait for the journal
        self._parked: list[Job] = []  # wait for their next run, and that is not remembered yet
        self.lineup = Lineup(max_jobs, self._wake.set)

    def stir(self) -> None:
        """Look for jobs that can be started."""
        self._wake.set()

    def park(self, job: Job) -> None:
        """Have it remembered that a job waits for its next run, if callers know of it."""
        if not job.local:
            self._parked.append(job)
            self._to_write.set()

    async def run(self) -> None:
        """Start jobs as they can be; to be cancelled."""
        parts = [
            asyncio.create_task(self._start_ready(), name="ready"),
            asyncio.create_task(self._start_journalled(), name="journal"),
        ]
        try:
            await asyncio.gather(*parts)
        finally:
            await end(parts, _END_PATIENCE)

    async def note_parked(self) -> None:
        """Have the journal remember who waits for the next of several runs: they do not run."""
        parked, self._parked = self._parked, []
        waiting = [job for job in parked if self._is_there(job) and not job.execution]
        if waiting:
            await self._journal.waiting(waiting)

    async def _start_ready(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for job in self.lineup.take_ready():
                if job.local:
                    self._start(job)
                else:
                    self._unwritten.append(job)
                    self._to_write.set()

    async def _start_journalled(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            await self.note_parked()
            batch, self._unwritten = self._unwritten, []
            if batch:
                await self._journal.running(batch)
            for job in batch:
                if self._is_there(job):  # not killed meanwhile
                    self._start(job)

    def _is_there(self, job: Job) -> bool:
        return self._jobs.get(job.id) is job
