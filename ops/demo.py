"""Show corex at work: `make demo`.

A Redis of its own and a node, both real and on this machine; commands go through the queue, run
as processes, and their results come back. Everything that is shown is also checked: the exit code
is 0 only if all of it was as it should be. Nothing is left afterwards, also when interrupted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import prctl

from corex import Client, Command, CorexError
from corex.node import Node
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.models import JobResult, NodeInfo
from corex_shared.states import JobState

NODE = "demo"
MANY = 200
PATIENCE = 15.0
"""Seconds within which any single step must be done."""
_STOP_SECONDS = 10.0
# When it is told to stop, nobody is interested in what its jobs have yet to say.
_NODE_SETTINGS = {"COREX_NODE_LIMITS_DRAIN": "0", "COREX_NODE_LIMITS_DELIVER": "2"}
_INTERRUPTED = 130
_MS_ROUNDING = 2


class Report:
    """What is printed, what was expected and was not so, and the results by state."""

    def __init__(self) -> None:
        self.states: Counter[JobState] = Counter()
        self.failures: list[str] = []
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        print(f"\n{self._steps}. {title}", flush=True)

    def say(self, text: str) -> None:
        for line in text.splitlines():
            print(f"   {line}", flush=True)

    def expect(self, what: str, condition: bool) -> None:
        if not condition:
            self.failures.append(f"step {self._steps}: {what}")
            self.say(f"NOT AS EXPECTED: {what}")

    def count(self, result: JobResult, expected: JobState) -> None:
        self.states[result.state] += 1
        self.expect(
            f"{expected} for {result.command}, not {result.state} {result.code} {result.stderr!r}",
            result.state is expected,
        )

    def end(self) -> int:
        """Print the last lines and return the exit code."""
        print()
        for failure in self.failures:
            print(f"not as expected: {failure}")
        by_state = ", ".join(
            f"{state} {self.states[state]}" for state in JobState if self.states[state]
        )
        print(f"{self.states.total()} results: {by_state or 'none'}", flush=True)
        return 1 if self.failures else 0


# -- the steps ----------------------------------------------------------------------------------


def show_system_command(node: Node, report: Report) -> None:
    report.step("A system command")
    result = node.system("uname", args=["-s", "-r"]).wait(PATIENCE)
    report.count(result, JobState.SUCCESS)
    report.say(f"$ uname -s -r\n{result.stdout.rstrip()}\n→ {_outcome(result)}")
    report.expect("the name of this system", result.stdout.startswith(os.uname().sysname))


def show_live_output(node: Node, report: Report) -> None:
    lines, pause = 5, 0.3
    script = f"for n in $(seq {lines}); do echo line $n of {lines}; sleep {pause}; done"
    report.step("A script, each line seen as it is written")
    report.say(f"$ {script}")
    job = node.bash(script, stream=True)
    seen: list[tuple[float, str]] = []
    begin = time.time()
    for message in job.stream(PATIENCE):
        for line in message.text.splitlines():
            seen.append((time.time(), line))
            report.say(f"after {seen[-1][0] - begin:5.3f} s: {line}")
    result = job.wait(PATIENCE)
    report.count(result, JobState.SUCCESS)
    report.say(f"→ {_outcome(result)}")
    wanted = [f"line {n} of {lines}" for n in range(1, lines + 1)]
    report.expect("every line once, in order", [line for _, line in seen] == wanted)
    times = [at for at, _ in seen]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    report.expect("lines arrive one by one", all(gap > pause / 3 for gap in gaps))
    end = (result.starttime + result.time) / 1000
    report.expect("lines arrive before the end", all(at < end for at in times))


def show_failure(node: Node, report: Report) -> None:
    report.step("A command that fails")
    result = node.system("ls", args=["/no/such/file"], env={"LC_ALL": "C"}).wait(PATIENCE)
    report.count(result, JobState.ERROR)
    report.say(f"$ ls /no/such/file\n{result.stderr.rstrip()}\n→ {_outcome(result)}")
    report.expect("the program's exit code in the result", 1000 < result.code < 1128)
    report.expect("what it wrote to stderr", "/no/such/file" in result.stderr)


def show_queue(node: Node, report: Report) -> None:
    report.step("Two commands of one queue, the first of them slower: one after the other")
    jobs = [
        node.bash("sleep 0.5; echo first", queue="orders"),
        node.bash("echo second", queue="orders"),
    ]
    first, second = (job.wait(PATIENCE) for job in jobs)
    for result in (first, second):
        report.count(result, JobState.SUCCESS)
        begin = result.starttime - first.starttime
        span = f"{begin:4} ms to {begin + result.time:4} ms"
        report.say(f"{result.stdout.strip():6} ran from {span} → {_outcome(result)}")
    report.expect("both wrote", (first.stdout, second.stdout) == ("first\n", "second\n"))
    report.expect(
        "the second starts when the first has ended",
        second.starttime >= first.starttime + first.time - _MS_ROUNDING,
    )


def show_timeout(node: Node, report: Report) -> None:
    report.step("A command that takes longer than it may")
    result = node.system("sleep", args=["60"], max_time=0.5).wait(PATIENCE)
    report.count(result, JobState.TIMEOUT)
    report.say(f"$ sleep 60    (max_time 0.5 s)\n→ {_outcome(result)}")
    report.expect("it ended when its time was up", 400 <= result.time < 5000)


def show_kill(node: Node, report: Report) -> None:
    report.step("A command that is killed while it runs")
    job = node.bash("echo working; sleep 60", stream=True)
    for message in job.stream(PATIENCE):
        if "working" in message.text:  # it runs
            report.say(f"$ echo working; sleep 60\n{message.text.rstrip()}")
            killed = job.kill(timeout=PATIENCE)
            report.expect("the node has killed it", killed)
    result = job.wait(PATIENCE)
    report.count(result, JobState.KILLED)
    report.say(f"→ {_outcome(result)}")


def show_many(client: Client, report: Report) -> None:
    report.step(f"{MANY} commands at once, each a process of its own")
    commands = [
        (NODE, Command("core.system", {"name": "echo", "args": [str(n)]})) for n in range(MANY)
    ]
    begin = time.monotonic()
    jobs = client.submit_many(commands)
    pushed = time.monotonic() - begin
    results = {job.id: result for job, result in client.as_completed(jobs, timeout=PATIENCE)}
    took = time.monotonic() - begin
    for number, job in enumerate(jobs):
        report.count(results[job.id], JobState.SUCCESS)
        report.expect(f"output of number {number}", results[job.id].stdout == f"{number}\n")
    report.say(
        f"pushed in {pushed * 1000:.0f} ms, all {len(results)} results after {took:.2f} s "
        f"({len(results) / took:.0f} a second)"
    )


def _outcome(result: JobResult) -> str:
    return f"{result.state}, code {result.code}, {result.time} ms"


# -- the stage ----------------------------------------------------------------------------------


def _die_with_parent() -> None:
    prctl.set_pdeathsig(signal.SIGTERM)


@contextmanager
def running_node(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node until the block ends; if this process is killed, the node stops too."""
    corex = Path(sys.executable).with_name("corex")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [corex, "node", "run", "--id", NODE, "--url", url],
            env={**os.environ, **_NODE_SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours; the node is stopped in good order
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs yet
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_node(client: Client, process: subprocess.Popen[bytes], log: Path) -> NodeInfo:
    """Wait for the node's heartbeat.

    Raises:
        RuntimeError: it ended, or there is none in time; with what it logged.
    """
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        for info in client.nodes():
            if info.id == NODE and info.alive:
                return info
        time.sleep(0.02)
    raise RuntimeError(f"the node did not start; it says:\n{log.read_text(errors='replace')}")


def show_everything(server: EmbeddedRedis, report: Report) -> None:
    """Start the node and go through all steps."""
    log = server.directory / "node.log"  # gone with the folder, whatever happens
    begin = time.monotonic()
    with running_node(server.url, log) as process, Client(server.url) as client:
        info = wait_for_node(client, process, log)
        node = client.node(NODE)
        seconds = time.monotonic() - begin
        print(f"Node    {info.id}, process {info.pid}, up to {info.slots} jobs at once")
        print(f"        answers after {seconds:.2f} s: {node.ping(timeout=PATIENCE)}")
        show_system_command(node, report)
        show_live_output(node, report)
        show_failure(node, report)
        show_queue(node, report)
        show_timeout(node, report)
        show_kill(node, report)
        show_many(client, report)
    report.expect(f"the node ends with 0, not {process.returncode}", process.returncode == 0)


def main() -> int:
    """Run the demo; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    report = Report()
    begin = time.monotonic()
    print("corex: a node and a Redis of its own on this machine; commands through a real queue\n")
    try:
        with EmbeddedRedis() as server:
            print(f"Redis   {server.url}, process {server.pid}")
            show_everything(server, report)
    except KeyboardInterrupt:
        print("\ninterrupted; node and Redis are gone", file=sys.stderr)
        return _INTERRUPTED
    except (CorexError, RuntimeError) as error:
        report.expect(str(error), False)
    print(f"\nNode and Redis are gone. All of it took {time.monotonic() - begin:.1f} s.")
    return report.end()


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
