"""What becomes of jobs as they get and lose queues that all nodes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from corex_node.manager.jobs import Job
from corex_node.manager.starter import Starter

_log = structlog.get_logger()


class Tenure:
    """Lets jobs run while they hold their queue of the fleet, and no longer."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        starter: Starter,
        stop: Callable[[Job, str], object],
        freed: Callable[[], object],
    ) -> None:
        """Connect the parts.

        Args:
            jobs: those that have not ended, by ID.
            starter: starts them.
            stop: ends the attempt of a job that has lost its queue, for a reason.
            freed: called when a slot was given back.
        """
        self._jobs = jobs
        self._starter = starter
        self._lineup = starter.lineup
        self._stop = stop
        self._freed = freed

    def granted(self, job: Job, token: int) -> None:
        """Let a job run that entered a queue of the fleet: it holds it, by this token."""
        if self._jobs.get(job.id) is job:
            self._lineup.grant(job, token)

    def ousted(self, job: Job, why: str) -> None:
        """Take note that a job has lost its queue to another: if it runs, it is stopped.

        What it does from then on would be done beside the other. One that waits for a slot stands
        in line again; so does one that is about to start, see `may_start`.

        Args:
            job: that held a queue of the fleet.
            why: for its result.
        """
        if self._jobs.get(job.id) is not job:
            return
        self._lineup.revoke(job)
        if job.execution is not None:
            _log.error("queue.lost", job=job.id, queue=job.fleet_queue, reason=why)
            self._stop(job, why)

    def may_start(self, job: Job) -> bool:
        """Whether a job that is about to start still holds its queue; else it stands in line again.

        The lease may have run out while it waited for a slot, or for Redis.
        """
        fleet = self._lineup.fleet
        if job.fleet_queue is None or fleet is None or fleet.holds(job):
            return True
        _log.warning("queue.lapsed", job=job.id, queue=job.fleet_queue)
        self._lineup.release(job)
        self._lineup.wait(job)
        self._lineup.line_up(job)
        self._starter.park(job)
        self._freed()
        return False
