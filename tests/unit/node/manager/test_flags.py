"""What only code may ask of a job."""

from __future__ import annotations

import psutil

from corex_node.manager.context import Context
from corex_node.manager.flags import JobFlags
from corex_node.manager.hooks import Hook
from corex_node.process.program import ProgramSpec
from corex_shared.models import Command
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench, QuickBench

TOOL = Command("core.system", {"name": "tool"})


async def test_output_of_a_silent_job_is_counted_and_kept_nowhere(bench: Bench) -> None:
    """However much it is."""
    heard: list[str] = []

    class Listener(Hook):
        def message(self, message: object) -> None:
            heard.append(str(message))

    job = bench.manager.start(
        Command("bash", {"script": "seq 1 200000; echo 9::no; echo err >&2"}),
        Listener(),
        flags=JobFlags(no_output=True, complete=True),
    )
    result = await job.wait(20)
    assert (result.state, result.streams, result.critical) == (JobState.SUCCESS, ("", ""), "")
    assert (result.stdout_bytes, result.stderr_bytes) == (1_288_895 + 6, 4)
    assert heard == []


async def test_a_silent_built_in_says_nothing(quick: QuickBench) -> None:
    """Its answer is its own."""

    @quick.manager.registry.command("tell", inline=True)
    def tell(context: Context) -> int:
        context.message("out\n", 1)
        return 1

    result = await quick.manager.start(Command("tell"), flags=JobFlags(no_output=True)).wait(5)
    assert (result.data, result.streams) == ("1", ("", ""))


async def test_a_job_without_a_group_stays_in_the_session_of_its_starter(bench: Bench) -> None:
    """Others lead one of their own."""
    command = Command("bash", {"script": "ps -o pid=,pgid=,sid= $$"})
    own = await bench.manager.start(command).wait(10)
    shared = await bench.manager.start(command, flags=JobFlags(no_group=True)).wait(10)
    pid, group, session = (int(text) for text in own.stdout.split())
    assert pid == group == session
    pid, group, session = (int(text) for text in shared.stdout.split())
    assert pid not in (group, session)
    assert session in bench.manager.spawner_pids()


async def test_a_job_without_a_group_is_stopped_whole(bench: Bench) -> None:
    """And nobody else with it."""
    other = bench.script("sleep 30")
    command = Command("bash", {"script": "sleep 301 & echo $!; wait"})
    job = bench.manager.start(command, flags=JobFlags(no_group=True))
    row = bench.manager.jobs[job.id]
    await eventually_async(lambda: row.stdout and row.stdout.tail.total)
    job.signal()
    result = await job.wait(10)
    assert result.state is JobState.KILLED
    await eventually_async(lambda: not psutil.pid_exists(int(result.stdout)))
    assert other.id in bench.manager.jobs
    assert psutil.pid_exists(other.pid)


async def test_flags_reach_the_program_that_is_started(quick: QuickBench) -> None:
    """So that it has no group of its own, or fewer capabilities."""

    async def spec(flags: JobFlags) -> ProgramSpec:
        return (await quick.process(quick.manager.start(TOOL, flags=flags))).spec

    assert (await spec(JobFlags())).own_group is True
    assert (await spec(JobFlags(no_group=True))).own_group is False
    assert (await spec(JobFlags())).unprivileged is False
    quick.manager.set_unprivileged()
    assert quick.manager.unprivileged
    assert (await spec(JobFlags())).unprivileged is True
    assert (await spec(JobFlags(no_group=True))).own_group is False
