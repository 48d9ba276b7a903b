"""Samples of what jobs use, for those that ask for them by `stats_interval`.

All jobs that are due are measured by one pass over /proc, in a thread. Instants are multiples of
the interval, so that jobs with the same interval share their passes; one that is missed is left
out. Passes are never more than ten a second, and rarer when they take much time: a job may then be
sampled less often than it asks for, but sampling never takes more than a tenth of a processor.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from corex_node.process.usage import Usage
from corex_node.process.usage_meter import UsageMeter
from corex_node.statistics.sample import Op, Sample, format_sample
from corex_shared.models import Command
from corex_shared.states import Level

_POLL = 1.0
"""Seconds between two looks for jobs that want to be sampled."""
_SHORTEST = 0.1
"""Seconds between two passes at least."""
_REST = 9
"""Times the time of a pass that the next one comes later at least."""
_SLICE = 50
"""Jobs whose samples are handed on before the event loop has its turn."""

_log = structlog.get_logger()


class SampledJob(Protocol):
    """What is to be known of a job."""

    @property
    def id(self) -> str:
        """Its ID."""

    @property
    def pid(self) -> int:
        """Process ID of the running attempt, 0 when there is none."""

    @property
    def command(self) -> Command:
        """What was asked."""


J = TypeVar("J", bound=SampledJob)
J_co = TypeVar("J_co", bound=SampledJob, covariant=True)


class JobTable(Protocol[J_co]):
    """Knows the jobs."""

    def snapshot(self) -> Sequence[J_co]:
        """List all jobs."""


class JobSampler(Generic[J]):
    """Samples the jobs of one manager."""

    def __init__(self, jobs: JobTable[J], emit: Callable[[J, int, str], object]) -> None:
        """Prepare it.

        Args:
            jobs: the jobs.
            emit: called on the event loop with a job, the level of statistics, and its samples,
                a line each.
        """
        self._jobs = jobs
        self._emit = emit
        self._meter = UsageMeter()
        self._next: dict[str, float] = {}  # job → when it is due, monotonic

    async def run(self) -> None:
        """Sample as jobs become due; to be cancelled."""
        while True:
            try:
                spent = await self._sample(self._due(time.monotonic()))
            except Exception:  # noqa: BLE001 - one bad pass is not the last
                _log.error("statistics.sampling_failed", exc_info=True)
                spent = _POLL
            await asyncio.sleep(self._pause(spent))

    def _due(self, now: float) -> list[J]:
        """List the jobs that are due, and settle when all are due next."""
        due: list[J] = []
        following: dict[str, float] = {}
        for job in self._jobs.snapshot():
            interval = job.command.stats_interval
            if not interval:
                continue
            at = self._next.get(job.id)
            if at is None:
                following[job.id] = first_instant(now, interval)
            elif at > now:
                following[job.id] = at
            else:
                following[job.id] = next_instant(now, interval)
                if job.pid:
                    due.append(job)
        if len(following) < len(self._next) or not following:
            self._meter.forget_all_but(following)
        self._next = following
        return due

    async def _sample(self, due: list[J]) -> float:
        """Measure jobs and hand the samples on; returns the processor time that it took."""
        if not due:
            return 0.0
        pids = {job.id: job.pid for job in due}
        usages, spent = await asyncio.to_thread(self._measure, pids)
        for at in range(0, len(due), _SLICE):
            began = time.perf_counter()
            for job in due[at : at + _SLICE]:
                usage = usages.get(job.id)
                if usage is not None and job.pid == pids[job.id]:  # else it has ended meanwhile
                    self._emit(job, Level.STATSD, samples_of(job.id, usage))
            spent += time.perf_counter() - began
            await asyncio.sleep(0)
        return spent

    def _measure(self, pids: Mapping[str, int]) -> tuple[dict[str, Usage], float]:
        began = time.thread_time()
        usages = self._meter.measure(pids)
        return usages, time.thread_time() - began

    def _pause(self, spent: float) -> float:
        due = min(self._next.values(), default=math.inf) - time.monotonic()
        return max(min(due, _POLL), _SHORTEST, _REST * spent)


def first_instant(now: float, interval: float) -> float:
    """When a job is sampled first: at the next multiple of its interval, all in seconds."""
    interval = max(interval, _SHORTEST)
    return math.floor(now / interval + 1) * interval


def next_instant(now: float, interval: float) -> float:
    """When a job is sampled again: at the multiple nearest to one interval from now."""
    interval = max(interval, _SHORTEST)
    return math.floor(now / interval + 1.5) * interval


def samples_of(job_id: str, usage: Usage) -> str:
    """Write what a job uses as samples, a line each."""
    figures = {
        "job.cpu": round(usage.cpu, 2),
        "job.rss": float(usage.rss),
        "job.vms": float(usage.vms),
        "job.swap": float(usage.swap),
    }
    samples = [Sample(Op.AVERAGE, key, value, job_id) for key, value in figures.items()]
    return "\n".join(format_sample(sample) for sample in samples)
