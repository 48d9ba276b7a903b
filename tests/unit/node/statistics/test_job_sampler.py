"""Samples of what jobs use."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from corex_node.process.usage import Usage
from corex_node.statistics.job_sampler import (
    JobSampler,
    first_instant,
    next_instant,
    samples_of,
)
from corex_node.statistics.sample import Op, parse_sample
from corex_shared.models import Command
from tests.helpers.eventually import eventually_async


class Sleeper:
    """A job that sleeps."""

    def __init__(self, job_id: str, interval: float | None, pid: int) -> None:
        """Begin it."""
        self.id = job_id
        self.pid = pid
        self.command = Command("core.system", stats_interval=interval)


class Jobs:
    """A table of jobs, and what a sampler said of them.

    Attributes:
        table: the jobs.
        said: job → texts.
        times: when something was said, monotonic.
        on_emit: called with each job of which something is said.
    """

    def __init__(self, start: Callable[[], int]) -> None:
        """Begin without a job."""
        self._start = start
        self.table: list[Sleeper] = []
        self.said: dict[str, list[str]] = {}
        self.times: list[float] = []
        self.on_emit: Callable[[Sleeper], object] = lambda _: None

    def snapshot(self) -> list[Sleeper]:
        """List all jobs."""
        return list(self.table)

    def add(self, job_id: str, interval: float | None, pid: int | None = None) -> Sleeper:
        """Start a job."""
        job = Sleeper(job_id, interval, self._start() if pid is None else pid)
        self.table.append(job)
        return job

    def emit(self, job: Sleeper, level: int, text: str) -> None:
        """Remember what is said of a job."""
        assert level == 10
        self.times.append(time.monotonic())
        self.said.setdefault(job.id, []).append(text)
        self.on_emit(job)

    def count(self, job_id: str) -> int:
        """How often something was said of a job."""
        return len(self.said.get(job_id, ()))

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Run a sampler."""
        task = asyncio.create_task(JobSampler(self, self.emit).run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """No job."""
    with ExitStack() as stack:

        def start() -> int:
            process = subprocess.Popen(["sleep", "60"], start_new_session=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process.pid

        yield Jobs(start)


async def test_a_job_is_sampled_at_its_interval(jobs: Jobs) -> None:
    """Again and again, with what it uses; others are not."""
    jobs.add("a-1", 0.1)
    jobs.add("b", None)
    jobs.add("c", 0.0)
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("a-1") >= 3)
    assert set(jobs.said) == {"a-1"}
    for text in jobs.said["a-1"]:
        samples = [parse_sample(line) for line in text.split("\n")]
        assert [sample.key for sample in samples] == ["job.cpu", "job.rss", "job.vms", "job.swap"]
        assert {(s.op, s.instance_id, s.tags) for s in samples} == {(Op.AVERAGE, "a-1", ())}
        assert 0 < samples[1].value < samples[2].value
    assert all(after - before > 0.05 for before, after in pairwise(jobs.times))


async def test_jobs_that_run_no_process_are_left_out(jobs: Jobs) -> None:
    """A job that waits, a built-in, one that has ended: the others are sampled."""
    jobs.add("waits", 0.1, pid=0)
    jobs.add("gone", 0.1, pid=2**22 + 1)
    jobs.add("runs", 0.1)
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("runs") >= 2)
    assert set(jobs.said) == {"runs"}


async def test_nothing_is_said_of_a_job_that_ends_meanwhile(jobs: Jobs) -> None:
    """It was measured, but it has ended before its turn."""
    jobs.add("first", 0.1)
    second = jobs.add("second", 0.1)

    def end_second(_: Sleeper) -> None:
        second.pid = 0

    jobs.on_emit = end_second
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("first") >= 2)
    assert jobs.count("second") == 0


async def test_a_job_that_comes_later_is_sampled_too(jobs: Jobs) -> None:
    """And one that is over is not."""
    first = jobs.add("first", 0.1)
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("first") >= 1)
        jobs.table.remove(first)
        jobs.add("second", 0.1)
        await eventually_async(lambda: jobs.count("second") >= 1)
        before = jobs.count("first")
        await eventually_async(lambda: jobs.count("second") >= 3)
    assert jobs.count("first") == before


async def test_jobs_with_the_same_interval_share_their_passes(jobs: Jobs) -> None:
    """Whenever they began."""
    jobs.add("first", 0.2)
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("first") >= 1)
        for number in range(3):
            jobs.add(f"later-{number}", 0.2)
            await asyncio.sleep(0.02)
        await eventually_async(lambda: jobs.count("later-2") >= 2)
    passes = 1 + sum(after - before > 0.1 for before, after in pairwise(jobs.times))
    assert passes == jobs.count("first")


async def test_sampling_takes_no_more_than_its_share(jobs: Jobs) -> None:
    """The longer a pass takes, the later comes the next."""
    jobs.add("a", 0.1)
    jobs.on_emit = lambda _: time.sleep(0.04)
    async with jobs.sampled():
        await eventually_async(lambda: jobs.count("a") >= 3)
    assert all(after - before > 0.36 for before, after in pairwise(jobs.times))


async def test_a_failure_is_logged_and_does_not_end_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong once may go well the next time."""
    monkeypatch.setattr("corex_node.statistics.job_sampler._REST", 0)
    jobs.add("a", 0.1)

    def fail_once(_: Sleeper) -> None:
        jobs.on_emit = lambda _: None
        raise RuntimeError("not now")

    jobs.on_emit = fail_once
    with capture_logs() as entries:
        async with jobs.sampled():
            await eventually_async(lambda: jobs.count("a") >= 2)
    assert [entry["event"] for entry in entries] == ["statistics.sampling_failed"]


@given(st.floats(0, 1e9), st.floats(0.1, 1e6))
def test_the_next_instant_is_about_one_interval_away(now: float, interval: float) -> None:
    """And the same for all who have the interval."""
    at = next_instant(now, interval)
    assert 0.49 * interval - 1e-6 <= at - now <= 1.51 * interval + 1e-6
    assert at / interval == pytest.approx(round(at / interval))


@given(st.floats(0, 1e9), st.floats(0.1, 1e6))
def test_the_first_instant_is_within_one_interval(now: float, interval: float) -> None:
    """And one of those at which all others with the interval are sampled."""
    at = first_instant(now, interval)
    assert -1e-6 <= at - now <= 1.01 * interval + 1e-6
    assert at / interval == pytest.approx(round(at / interval))


def test_a_short_interval_is_made_longer() -> None:
    """Ten times a second is often enough."""
    assert first_instant(5.04, 1e-9) == pytest.approx(5.1)
    assert next_instant(5.0, 1e-9) == pytest.approx(5.1)


def test_the_text_of_samples() -> None:
    """A line for each figure."""
    assert samples_of("x", Usage(12.345, 1024, 4096, 0)).split("\n") == [
        "job.cpu:12.35|A|id=x",
        "job.rss:1024.0|A|id=x",
        "job.vms:4096.0|A|id=x",
        "job.swap:0.0|A|id=x",
    ]
