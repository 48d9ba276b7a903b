"""Programs: streams, exits, what they inherit, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from corex_node.manager.limits import Limits
from corex_shared.models import JobResult
from corex_shared.states import JobState
from tests.helpers.eventually import eventually_async
from tests.helpers.processes import is_gone
from tests.unit.node.manager.bench import ALL, Bench

MIB = 1024 * 1024


@pytest.mark.parametrize("code", [1, 2, 127, 255])
async def test_an_exit_code(bench: Bench, code: int) -> None:
    """Exit n is an error of 1000 + n."""
    result = await bench.result(bench.script(f"exit {code}"))
    assert (result.state, result.code, result.signal) == (JobState.ERROR, 1000 + code, 0)


@pytest.mark.parametrize("number", [1, 9, 11, 15])
async def test_death_by_a_signal(bench: Bench, number: int) -> None:
    """Death by a signal that nobody asked for is an error of 1128 + s."""
    result = await bench.result(bench.script(f"kill -{number} $$"))
    assert (result.state, result.code, result.signal) == (JobState.ERROR, 1128 + number, number)


async def test_a_program_that_does_not_exist(bench: Bench, tmp_path: Path) -> None:
    """It is a 404, by name and by path."""
    for name in ("no-such-program", str(tmp_path / "none")):
        result = await bench.result(bench.program(name))
        assert (result.state, result.code, result.attempts) == (JobState.ERROR, 404, 1)
        assert name in result.data


async def test_a_program_that_may_not_be_run(bench: Bench, tmp_path: Path) -> None:
    """It is a 403."""
    path = tmp_path / "script"
    path.write_text("#!/bin/sh\n")
    result = await bench.result(bench.program(str(path)))
    assert (result.state, result.code) == (JobState.ERROR, 403)


async def test_a_directory_that_does_not_exist(bench: Bench, tmp_path: Path) -> None:
    """It is a 404 that names the argument."""
    result = await bench.result(bench.program("true", dir=str(tmp_path / "none")))
    assert (result.state, result.code) == (JobState.ERROR, 404)
    assert "dir" in result.data


async def test_a_directory(bench: Bench, tmp_path: Path) -> None:
    """The program runs there."""
    result = await bench.result(bench.program("pwd", dir=str(tmp_path)))
    assert result.stdout == f"{tmp_path}\n"


async def test_a_program_is_found_in_its_own_path(bench: Bench, tmp_path: Path) -> None:
    """PATH of its environment counts, not the agent's."""
    path = tmp_path / "mine"
    path.write_text("#!/bin/sh\necho mine\n")
    path.chmod(0o755)
    result = await bench.result(bench.program("mine", env={"PATH": f"{tmp_path}:/bin"}))
    assert result.stdout == "mine\n"


@pytest.mark.parametrize("directory", [None, "/tmp"])
async def test_much_for_one_that_reads_nothing(bench: Bench, directory: str | None) -> None:
    """A megabyte of stdin does not hold up a program that never reads."""
    result = await bench.result(bench.program("true", stdin="x" * MIB, dir=directory))
    assert result.state is JobState.SUCCESS


async def test_much_for_one_that_writes_first(bench: Bench) -> None:
    """A megabyte of stdin and ten of output at once do not block each other."""
    script = "head -c 10485760 /dev/zero; wc -c"
    result = await bench.result(bench.script(script, stdin="x" * MIB))
    assert result.state is JobState.SUCCESS
    assert result.stdout_bytes == 10 * MIB + len(f"{MIB}\n")
    assert result.stdout.endswith(f"\0{MIB}\n")


async def test_stdin_ends(bench: Bench) -> None:
    """A program sees the end of what it is fed, and of nothing."""
    jobs = [bench.program("cat", stdin=text) for text in ("text", "", None)]
    results = await bench.all_results(jobs)
    assert [result.stdout for result in results] == ["text", "", ""]


@pytest.mark.parametrize("bench", [Limits(linger=0.3)], indirect=True)
async def test_a_grandchild_that_holds_the_output(bench: Bench) -> None:
    """It is heard for a while after the program ended, then ended itself."""
    begun = time.monotonic()
    result = await bench.result(bench.script("sleep 300 & echo $!"))
    assert time.monotonic() - begun < 15
    assert (result.state, result.survivors) == (JobState.SUCCESS, 0)
    assert is_gone(int(result.stdout))


@pytest.mark.parametrize("bench", [Limits(linger=2)], indirect=True)
async def test_a_grandchild_that_still_writes(bench: Bench) -> None:
    """What it writes soon after the program's end belongs to the job."""
    result = await bench.result(bench.script("(sleep 0.2; echo late) & echo now"))
    assert result.stdout == "now\nlate\n"


async def test_no_descriptor_is_left_open(bench: Bench) -> None:
    """After two hundred processes there are as many descriptors as after fifty."""

    async def some(count: int) -> int:
        await bench.all_results([bench.script("echo out", stdin="x") for _ in range(count)])
        await eventually_async(lambda: not bench.manager.jobs)
        return len(os.listdir("/proc/self/fd"))

    before = await some(50)
    assert await some(150) == before


async def test_no_process_is_left(bench: Bench) -> None:
    """No zombie of a job stays, neither here nor beside."""
    own = psutil.Process()
    beside = set(own.children(recursive=True))
    await bench.all_results([bench.script("true & sleep 0 &") for _ in range(50)])

    def left() -> list[psutil.Process]:
        return [child for child in own.children(recursive=True) if child not in beside]

    await eventually_async(lambda: not left(), "all are reaped", seconds=10)


async def test_bytes_that_are_no_text(bench: Bench) -> None:
    """They are replaced in the text, and counted as they are."""
    job = bench.script("printf 'a\\377\\376b'; printf '\\303' >&2", demand=ALL)
    result = await bench.result(job)
    assert result.streams == ("a\ufffd\ufffdb", "\ufffd")
    assert (result.stdout_bytes, result.stderr_bytes) == (4, 1)
    assert "".join(text for _, level, text in bench.messages if level == 1) == "a\ufffd\ufffdb"


@pytest.mark.parametrize("bench", [Limits(kept_output=1000)], indirect=True)
async def test_the_end_of_long_output_is_kept(bench: Bench) -> None:
    """The counts are of all that was written, and the result says that there was more."""
    result = await bench.result(bench.script("seq 100000; echo err >&2"))
    whole = "".join(f"{number}\n" for number in range(1, 100001))
    assert result.stdout == whole[-1000:]
    assert (result.stdout_bytes, result.stderr_bytes) == (len(whole), 4)
    assert result.truncated
    assert not (await bench.result(bench.script("echo out"))).truncated


async def test_all_output_is_there_at_the_end(bench: Bench) -> None:
    """What was written just before the exit is never lost."""
    jobs = [bench.script("seq 2000; echo end >&2") for _ in range(40)]
    for result in await bench.all_results(jobs):
        assert result.stdout.endswith("\n2000\n")
        assert result.stderr == "end\n"


async def test_messages_are_those_that_are_wanted(bench: Bench) -> None:
    """A job that nobody listens to makes no message; its result has the output."""
    silent, loud = bench.script("echo out"), bench.script("echo out", demand=ALL)
    await bench.all_results([silent, loud])
    assert bench.messages == [(loud.id, 1, "out\n")]


async def test_a_congested_sink_holds_jobs_up(bench: Bench) -> None:
    """A job that writes faster than the sink takes is not read until there is room."""
    bench.congested_now = True
    job = bench.script("head -c 20000000 /dev/zero", demand=ALL)
    await bench.ready(job)
    for _ in range(20):
        await asyncio.sleep(0.01)  # turns of the loop in which it could have been read
    held = job.stdout.tail.total if job.stdout else 0
    assert held < 5 * MIB
    bench.congested_now = False
    bench.manager.output.resume()
    assert (await bench.result(job)).stdout_bytes == 20_000_000


async def _environment(bench: Bench, **arguments: Any) -> dict[str, str]:
    result: JobResult = await bench.result(bench.program("env", **arguments))
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


async def test_its_environment(bench: Bench) -> None:
    """It has the agent's and its own, and knows its job; what it sets itself wins."""
    seen = await _environment(bench, env={"MINE": "1", "HOME": "/nowhere"})
    assert (seen["MINE"], seen["HOME"]) == ("1", "/nowhere")
    assert seen["PATH"] == os.environ["PATH"]
    assert seen["COREX_JOB_ID"] in bench.results


async def test_a_clear_environment(bench: Bench) -> None:
    """Nothing is inherited, but for the mark of the job."""
    seen = await _environment(bench, env={"MINE": "1"}, clear_env=True)
    assert set(seen) - {"COREX_JOB_ID", "COREX_JOB_NODE"} == {"MINE"}


async def test_the_mark_of_a_job_cannot_be_replaced(bench: Bench) -> None:
    """A job is found by its mark, whatever its caller sets."""
    seen = await _environment(bench, env={"COREX_JOB_ID": "another"})
    assert seen["COREX_JOB_ID"] in bench.results


@pytest.mark.parametrize("directory", [None, "/"])
async def test_its_descriptors(bench: Bench, directory: str | None) -> None:
    """It has 0, 1 and 2 and no other."""
    reading, writing = os.pipe()
    try:
        for stdin in (None, "x"):
            # The shell lists its own descriptors: nothing is opened for it.
            arguments = {"name": "sh", "args": ["-c", "echo /proc/$$/fd/*"]}
            job = bench.push("core.system", {**arguments, "stdin": stdin, "dir": directory})
            result = await bench.result(job)
            numbers = [Path(path).name for path in result.stdout.split()]
            # One more may be that of the list itself.
            assert numbers[:3] == ["0", "1", "2"]
            assert len(numbers) <= 4
            assert str(reading) not in numbers or reading < 4
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("directory", [None, "/"])
async def test_its_signals(bench: Bench, directory: str | None) -> None:
    """None is ignored or blocked: a writer without a reader dies of SIGPIPE."""
    job = bench.program("cat", "/proc/self/status", dir=directory)
    status = dict(
        line.split(":\t", 1)
        for line in (await bench.result(job)).stdout.splitlines()
        if ":\t" in line
    )
    # glibc has posix_spawn ignore the two signals that it keeps for itself, 32 and 33.
    assert int(status["SigIgn"], 16) & ~(0b11 << 31) == 0
    assert int(status["SigBlk"], 16) == 0
    result = await bench.result(bench.script("(yes; echo went on >&2) | head -n 1"))
    assert (result.stdout, result.stderr) == ("y\n", "went on\n")


async def test_its_session(bench: Bench) -> None:
    """It leads a session and a group of its own."""
    job = bench.script("cut -d ' ' -f 1,5,6 /proc/$$/stat; echo $$")
    result = await bench.result(job)
    line, pid = result.stdout.splitlines()
    assert line.split() == [pid] * 3
