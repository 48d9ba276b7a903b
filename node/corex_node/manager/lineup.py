"""Who runs and who waits: slots and named queues. Pure bookkeeping; nothing is started here.

A job that cannot run at once *waits* for its queue or its next run; once it may run but for a slot
it is *ready*. Jobs that wait do not count as running.

Queues of the node are kept here. Those that all nodes share are kept elsewhere (`FleetQueues`): a
job enters one when it is admitted, and is ready when the queue was granted to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from corex_node.manager.arrivals import Arrivals
from corex_node.manager.jobs import Job
from corex_node.manager.ports import FleetQueues
from corex_node.manager.queues import QueueTable
from corex_shared.states import Stage


class Lineup:
    """The places of all jobs of a manager.

    Attributes:
        queues: who holds each named queue of the node and who waits for it.
        fleet: queues that all nodes share; None when there are none.
        running: jobs that hold a slot.
        waiting: jobs that wait for their queue, for a slot or for their next run.
    """

    def __init__(self, max_jobs: int, stir: Callable[[], object]) -> None:
        """Begin empty.

        Args:
            max_jobs: slots.
            stir: called when jobs may have become able to run.
        """
        self._max_jobs = max_jobs
        self._stir = stir
        self._ready: deque[Job] = deque()  # hold their queue, wait for a slot or the journal
        self._arrivals: Arrivals[Job] = Arrivals()  # for queues of the fleet, not admitted yet
        self.queues: QueueTable[Job] = QueueTable()
        self.fleet: FleetQueues | None = None
        self.running = 0
        self.waiting = 0

    @property
    def free(self) -> int:
        """Slots that nobody holds or is about to take."""
        return self._max_jobs - self.running - len(self._ready)

    def enter(self, job: Job) -> None:
        """Give a new job its place: its stage is RUNNING then, or WAITING."""
        queue = job.command.queue
        if job.fleet_queue is not None:
            self.wait(job)
            self._arrivals.came(job.fleet_queue, job)
        elif queue is not None and not self.queues.enter(queue, job):
            self.wait(job)
        elif job.control or self.free > 0:
            self._take_slot(job)
        else:
            self.wait(job)
            self._make_ready(job)

    def wait(self, job: Job) -> None:
        """Let a job wait for something that is not a slot."""
        job.stage = Stage.WAITING
        self.waiting += 1

    def line_up(self, job: Job) -> None:
        """Have a job that waited for its next run stand in line for it."""
        queue = job.command.queue
        if job.fleet_queue is not None:
            self._enter_fleet([job])
        elif queue is None or self.queues.enter(queue, job):
            self._make_ready(job)

    def admit(self, job: Job) -> None:
        """Have a job that was admitted stand in line with those of other nodes, if it is to."""
        if job.fleet_queue is not None:
            self._enter_fleet(self._arrivals.cleared(job.fleet_queue, job))

    def grant(self, job: Job, token: int) -> None:
        """Let a job run that waited for a queue of the fleet, as soon as there is a slot."""
        job.fencing_token = token
        self._make_ready(job)

    def revoke(self, job: Job) -> None:
        """Take a queue of the fleet from a job; one that waits for a slot stands in line again."""
        job.fencing_token = 0
        if job.ready:
            self._ready.remove(job)
            job.ready = False
            self._enter_fleet([job])

    def take_ready(self) -> list[Job]:
        """Give free slots to those who are ready and admitted, in order; return them."""
        batch: list[Job] = []
        later: deque[Job] = deque()
        while self._ready:
            job = self._ready.popleft()
            if job.admitted and (job.control or self.running < self._max_jobs):
                job.ready = False
                self.waiting -= 1
                self._take_slot(job)
                batch.append(job)
            else:
                later.append(job)
        self._ready = later
        return batch

    def release(self, job: Job) -> None:
        """Give back slot and queue; the next in line becomes ready."""
        if job.has_slot:
            job.has_slot = False
            self.running -= 1
        if job.command.queue is not None:
            self.leave_queue(job)
        if self._ready:
            self._stir()

    def leave_queue(self, job: Job) -> None:
        """Give a job's queue, or its place in it, to those who come after."""
        if job.fleet_queue is not None:
            self._leave_fleet(job, job.fleet_queue)
            return
        following = self.queues.leave(job.command.queue or "", job)
        if following is not None:
            self._make_ready(following)

    def leave(self, job: Job) -> None:
        """Take a job out, wherever it stands."""
        if job.stage is Stage.WAITING:
            self.waiting -= 1
        if job.ready:
            self._ready.remove(job)
            job.ready = False
        self.release(job)

    def _enter_fleet(self, jobs: list[Job]) -> None:
        if self.fleet is not None:
            for job in jobs:
                self.fleet.enter(job)

    def _leave_fleet(self, job: Job, queue: str) -> None:
        job.fencing_token = 0
        self._enter_fleet(self._arrivals.gone(queue, job))
        if self.fleet is not None:
            self.fleet.leave(job)

    def _make_ready(self, job: Job) -> None:
        job.ready = True
        self._ready.append(job)
        self._stir()

    def _take_slot(self, job: Job) -> None:
        job.stage = Stage.RUNNING
        if not job.control:
            job.has_slot = True
            self.running += 1
