"""Jobs that code inside the node starts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.executions import Surroundings
from corex_node.manager.flags import JobFlags
from corex_node.manager.jobs import Job
from corex_node.manager.limits import Limits
from corex_node.manager.outcome import Outcome, of_state
from corex_node.manager.restarts import Backoff
from corex_shared.errors import (
    BadRequestError,
    ConflictError,
    JobFailed,
    NotFoundError,
    WaitTimeout,
)
from corex_shared.models import Command
from corex_shared.states import JobState, Stage
from corex_shared.version import __version__
from tests.helpers.eventually import eventually_async
from tests.helpers.processes import is_gone
from tests.unit.node.manager.bench import Bench

QUICK = Backoff(0.01, jitter=0)


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A manager that starts protected jobs again soon."""
    limits = getattr(request, "param", Limits(backoff=QUICK, protected=QUICK, linger=0.3))
    made = Bench(standard_registry(), limits)
    made.start()
    yield made
    made.manager.stop_all(signal.SIGKILL)
    await made.close()


async def test_start_gives_a_handle(bench: Bench) -> None:
    """The job's command, stage, process and times; nobody outside hears of it."""
    handle = bench.manager.start(Command("bash", {"script": "echo hi; sleep 30"}, tags=["t"]))
    await eventually_async(lambda: handle.pid)
    assert handle.command.tags == ["t"]
    assert handle.stage is Stage.RUNNING
    assert (handle.attempts, handle.result) == (1, None)
    assert handle.start_time > 0
    assert handle.process is not None
    assert bench.manager.job(handle.id).pid == handle.pid
    usage = await handle.usage()
    assert usage.rss > 0
    assert handle.signal() is True
    result = await handle.wait(10)
    assert (result.state, result.tags) == (JobState.KILLED, ["t"])
    assert handle.result is result
    assert await handle.wait(0) is result
    assert bench.results == {}
    assert bench.messages == []
    assert handle.signal() is False


async def test_waiting_is_bounded(bench: Bench) -> None:
    """A wait that is over says what it waited for; the job goes on."""
    handle = bench.manager.system("sleep", ["30"])
    with pytest.raises(WaitTimeout, match=handle.id):
        await handle.wait(0.05)
    assert handle.result is None
    both = asyncio.gather(handle.wait(10), handle.wait(10))
    await asyncio.sleep(0)
    handle.stop()
    first, second = await both
    assert first is second


async def test_an_id_is_used_once(bench: Bench) -> None:
    """The second job of an ID is refused, the first goes on."""
    handle = bench.manager.start(Command("bash", {"script": "sleep 30"}, id="mine"))
    with pytest.raises(ConflictError, match="mine"):
        bench.manager.start(Command("bash", {"script": "true"}, id="mine"))
    assert handle.result is None


async def test_an_unknown_command(bench: Bench) -> None:
    """It is told at once."""
    with pytest.raises(NotFoundError, match=r"core\.nothing"):
        bench.manager.start(Command("core.nothing"))
    with pytest.raises(NotFoundError, match="nobody"):
        bench.manager.job("nobody")


@pytest.mark.parametrize("bench", [Limits(kept_output=1024)], indirect=True)
async def test_system_has_all_output(bench: Bench) -> None:
    """Not only the last part that results of callers hold."""
    result = await bench.manager.system("seq", ["20000"], env={"A": "b"}).wait(10)
    assert result.stdout == "".join(f"{number}\n" for number in range(1, 20001))
    assert result.truncated is False
    bounded = await bench.manager.start(
        Command("core.system", {"name": "seq", "args": ["9999"]})
    ).wait(10)
    assert bounded.truncated is True


async def test_internal_answers_what_a_builtin_answers(bench: Bench) -> None:
    """Decoded; an error of it is raised."""
    assert await bench.manager.internal("core.ping") == f"PONG Version: {__version__}"
    with pytest.raises(JobFailed, match="404"):
        await bench.manager.internal("job.list", {"id": "nobody"})


async def test_it_waits_for_a_slot_like_any_other(bench: Bench) -> None:
    """And for its queue."""
    first = bench.manager.start(Command("bash", {"script": "sleep 0.2"}, queue="q"))
    second = bench.manager.start(Command("bash", {"script": "true"}, queue="q"))
    assert second.stage is Stage.WAITING
    await second.wait(10)
    assert first.result is not None
    assert bench.journalled == []


async def test_no_output(bench: Bench) -> None:
    """What such a job writes is counted, and neither kept nor passed on."""
    told: list[object] = []
    handle = bench.manager.start(
        Command("bash", {"script": "echo out; echo 9::bad"}), flags=JobFlags(no_output=True)
    )
    result = await handle.wait(10)
    assert (result.streams, result.critical, result.stdout_bytes) == (("", ""), "", 11)
    assert told == []


async def test_no_group(bench: Bench) -> None:
    """Its process stays in the session of whoever starts it, and is ended all the same."""
    handle = bench.manager.start(
        Command("bash", {"script": "sleep 30 & sleep 30"}), flags=JobFlags(no_group=True)
    )
    await eventually_async(lambda: handle.pid and psutil.Process(handle.pid).children())
    assert os.getsid(handle.pid) != handle.pid
    family = [handle.pid, *(child.pid for child in psutil.Process(handle.pid).children())]
    handle.stop()
    assert (await handle.wait(10)).state is JobState.KILLED
    assert all(is_gone(pid) for pid in family)


@pytest.mark.parametrize("script", ["exit 0", "exit 3", "kill -9 $$"])
async def test_a_protected_job_is_always_started_again(bench: Bench, script: str) -> None:
    """Whatever ends it, until it is stopped."""
    handle = bench.manager.start(
        Command("bash", {"script": script}), flags=JobFlags(protected=True)
    )
    await eventually_async(lambda: handle.attempts >= 3)
    assert handle.result is None
    assert handle.stop() is True
    assert (await handle.wait(10)).state is JobState.KILLED


async def test_a_kill_is_not_the_end_of_a_protected_job(bench: Bench) -> None:
    """It ends the run; a stop ends the job."""
    handle = bench.manager.start(
        Command("bash", {"script": "echo up; sleep 30"}), flags=JobFlags(protected=True)
    )
    await eventually_async(lambda: handle.pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = handle.pid
        assert bench.manager.kill(handle.id, number) is True
        await eventually_async(lambda pid=pid: handle.pid not in (0, pid))  # type: ignore[misc]
    bench.manager.kill_all()
    await eventually_async(lambda: handle.attempts == 4)
    handle.stop()
    assert (await handle.wait(10)).state is JobState.KILLED


class _Made:
    """What a factory of a test makes: nothing but a process in name."""

    def __init__(self, job: Job, around: Surroundings) -> None:
        self.job = job
        self.around = around

    def start(self) -> None:
        self.around.began(self.job)
        self.around.wrote(self.job, 1, b"made\n")

    def stop(self, grace: float) -> None:
        del grace
        self.around.ended(self.job, Outcome(JobState.SUCCESS, 0))


class _Able(_Made):
    """One with all abilities."""

    pid = 4711

    def signal(self, number: int) -> bool:
        self.around.ended(self.job, of_state(JobState.TIMEOUT, f"signal {number}"))
        return True


async def test_a_factory_makes_what_runs(bench: Bench) -> None:
    """Two methods are enough; it has no process, and takes no signal."""
    handle = bench.manager.start(Command("made"), factory=_Made)
    await eventually_async(lambda: handle.process)
    assert (handle.pid, (await handle.usage()).rss) == (0, 0)
    assert handle.signal(signal.SIGUSR1) is True
    assert handle.result is None
    handle.signal()
    result = await handle.wait(10)
    assert (result.state, result.stdout) == (JobState.KILLED, "made\n")


async def test_a_factory_may_give_abilities(bench: Bench) -> None:
    """A process ID, and signals."""
    bench.manager.registry.factory("able")(_Able)
    handle = bench.manager.start(Command("able", {"any": "thing"}))
    await eventually_async(lambda: handle.process)
    assert handle.pid == 4711
    handle.signal(signal.SIGHUP)
    assert (await handle.wait(10)).state is JobState.TIMEOUT


async def test_several_managers_in_one_process(bench: Bench) -> None:
    """Each has jobs, queues and spawners of its own."""
    other = Bench(standard_registry(), Limits())
    other.start()
    try:
        ours = bench.manager.start(Command("bash", {"script": "sleep 30"}, id="same", queue="q"))
        theirs = other.manager.start(
            Command("bash", {"script": "echo other"}, id="same", queue="q")
        )
        assert (await theirs.wait(10)).stdout == "other\n"
        assert ours.result is None
    finally:
        await other.close()


async def test_a_handle_is_of_its_job_only(bench: Bench) -> None:
    """When the job has ended and its ID is another's, the handle reaches nobody."""
    old = bench.manager.start(Command("bash", {"script": "true"}, id="same"))
    await old.wait(10)
    new = bench.manager.start(Command("bash", {"script": "sleep 30"}, id="same"))
    assert (old.signal(), old.stop(), old.unschedule()) == (False, False, False)
    with pytest.raises(NotFoundError, match="same"):
        old.subscribe()
    assert new.result is None


@pytest.mark.parametrize("number", [-1, 0, 65, 999])
async def test_a_signal_that_does_not_exist_is_refused(bench: Bench, number: int) -> None:
    """And hits nobody."""
    handle = bench.manager.system("sleep", ["30"])
    await eventually_async(lambda: handle.pid)
    with pytest.raises(BadRequestError, match="signal"):
        handle.signal(number)
    assert handle.result is None


async def test_a_program_that_cannot_be_described_costs_no_descriptor(bench: Bench) -> None:
    """It is an error of its own."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        result = await bench.manager.system("/bin/\udcff", stdin="x").wait(10)
        assert (result.state, result.code) == (JobState.ERROR, 400)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_unschedule_leaves_a_protected_job_alone(bench: Bench) -> None:
    """Only a stop and a shutdown end it."""
    handle = bench.manager.start(
        Command("bash", {"script": "exit 1"}), flags=JobFlags(protected=True)
    )
    assert handle.unschedule() is True
    await eventually_async(lambda: handle.attempts >= 3)
    handle.stop()
    assert (await handle.wait(10)).state is JobState.KILLED
