"""`corex top` on a real terminal, and without one."""

from __future__ import annotations

import json
import signal
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest
import redis

from corex import Client, Job
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.e2e.conftest import Corex, OnTerminal
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess, RunNode
from tests.helpers.terminal import CTRL_C, CTRL_Z, DOWN, ENTER, ESCAPE, TAB, Terminal

FOOTER = "q quit"
INTO, OUT_OF = b"\x1b[?1049h", b"\x1b[?1049l"
"""To the alternate screen, and back."""


@pytest.fixture
def jobs(cx: Client) -> list[Job]:
    """One that is busy and one that sleeps on `web-1`, one that sleeps on `web-2`."""
    busy = cx.node("web-1").bash("while :; do :; done", max_time=50)
    found = [busy, *(cx.node(name).system("sleep", args=["1000"]) for name in ("web-1", "web-2"))]
    for job in found:
        eventually(lambda job=job: job.state().stage == "running")  # type: ignore[misc]
    return found


def _is_as_before(terminal: Terminal) -> None:
    """See that the terminal is as a shell wants it."""
    assert terminal.modes == {"echo": True, "lines": True}
    assert not terminal.cursor_hidden
    assert terminal.written.count(INTO) == terminal.written.count(OUT_OF) > 0


@pytest.mark.parametrize("width", [80, 160])
def test_nodes_and_jobs_are_shown(jobs: list[Job], on_terminal: OnTerminal, width: int) -> None:
    """With graphs; the busiest job first; the keys in the last line."""
    with on_terminal("top", "--interval", "0.5", columns=width, lines=20) as terminal:
        terminal.shows(*(job.id for job in jobs), FOOTER, seconds=20)
        eventually(lambda: "█" in terminal.lines[2] or "▁" in terminal.lines[2], "there are graphs")
        eventually(lambda: "-" not in terminal.lines[2].replace("web-1", ""), "CPU is measured")
        lines = terminal.lines
        terminal.press("q")
        assert terminal.ends() == 0
        _is_as_before(terminal)
    assert lines[0].startswith("corex top  2 of 2 nodes alive")
    head = ["NODE", "STATE", "CPU%", "MEM%", "LOAD", "RUNNING", "QUEUED"]
    assert lines[1].split() == head
    assert [line.split()[:2] for line in lines[2:4]] == [["web-1", "alive"], ["web-2", "alive"]]
    assert lines[5].split() == ["CPU%", "MEM", "AGE", "NODE", "JOB", "STAGE", "COMMAND"]
    assert jobs[0].id in lines[6]
    assert "while :; do" in lines[6]
    assert FOOTER in lines[-1]
    assert all(len(line) <= width for line in lines)


def test_a_job_is_killed(jobs: list[Job], on_terminal: OnTerminal) -> None:
    """The chosen one, after a question, and only when that is answered with yes."""
    with on_terminal("top", "--interval", "0.5") as terminal:
        terminal.shows(*(job.id for job in jobs), seconds=20)
        terminal.press("x")
        terminal.shows(f"Kill {jobs[0].id} on web-1", "y: yes")
        terminal.press("n")
        terminal.shows("not killed")
        terminal.press("x", "y")
        terminal.shows(f"{jobs[0].id}: killed")
        assert jobs[0].wait(10).state == "KILLED"
        eventually(lambda: jobs[0].id not in "".join(terminal.lines[:-1]), "it is gone")
        terminal.press("q")
        assert terminal.ends() == 0
    assert [job.state().stage for job in jobs[1:]] == ["running"] * 2


def test_choosing_sorting_and_filtering(jobs: list[Job], on_terminal: OnTerminal) -> None:
    with on_terminal("top", "--interval", "0.5") as terminal:
        terminal.shows(*(job.id for job in jobs), "jobs by cpu", seconds=20)
        terminal.press("s")
        terminal.shows("jobs by mem")
        terminal.press("s", "s")
        terminal.shows("jobs by node")
        terminal.press(DOWN, "j", "j", "j", "x")
        terminal.shows(f"Kill {jobs[2].id} on web-2")  # the last one, being of the last node
        terminal.press("n", "/", "w", "e", "b", "-", "2")
        terminal.shows("filter: web-2")
        terminal.shows_no(jobs[0].id)
        terminal.press(ENTER)
        terminal.shows(FOOTER, jobs[2].id, "filter: web-2")
        terminal.press(ESCAPE)
        terminal.shows(jobs[0].id, jobs[2].id)
        terminal.press(TAB, "s")
        terminal.shows("nodes by load")
        terminal.press("q")
        assert terminal.ends() == 0


def test_another_size(jobs: list[Job], on_terminal: OnTerminal) -> None:
    """It is drawn anew at once, and fits."""
    with on_terminal("top", "--interval", "0.5", columns=80, lines=24) as terminal:
        terminal.shows(jobs[0].id, FOOTER, seconds=20)
        terminal.resize(160, 40)
        eventually(lambda: FOOTER in terminal.lines[39])
        terminal.resize(50, 12)
        eventually(lambda: "q quit" in terminal.lines[11])
        assert terminal.lines[0].startswith("corex top")
        terminal.press("q")
        assert terminal.ends() == 0


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "Ctrl-C"])
def test_signals_give_the_terminal_back(on_terminal: OnTerminal, name: str) -> None:
    with on_terminal("top") as terminal:
        terminal.shows("web-1", FOOTER, seconds=20)
        assert terminal.modes == {"echo": False, "lines": False}
        if name == "Ctrl-C":
            terminal.press(CTRL_C)
        else:
            terminal.signal(signal.Signals[name])
        number = signal.SIGINT if name == "Ctrl-C" else signal.Signals[name]
        assert terminal.ends() == 128 + number
        _is_as_before(terminal)


def test_an_error_gives_the_terminal_back(environment: dict[str, str]) -> None:
    """Its traceback is to be read."""
    code = """
        from corex.cli.screen.terminal import LiveTerminal
        from corex.cli.table import console_of_stdout
        with LiveTerminal(console_of_stdout()) as terminal:
            terminal.draw("here")
            terminal.keys(0)
            raise RuntimeError("on purpose")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with Terminal(command, env=environment) as terminal:
        assert terminal.ends() == 1
        _is_as_before(terminal)
        assert "RuntimeError: on purpose" in terminal.text


@pytest.mark.usefixtures("fleet")
def test_it_can_be_stopped_for_a_while(environment: dict[str, str]) -> None:
    """Ctrl-Z gives the terminal back to the shell; `fg` brings the view back."""
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, env={**environment, "PS1": "shell> "}) as terminal:
        terminal.shows("shell>")
        terminal.press(f"{COREX} top\r")
        terminal.shows("web-1", FOOTER, seconds=20)
        terminal.press(CTRL_Z)
        terminal.shows("Stopped", "shell>")
        assert terminal.written.count(OUT_OF) == 1
        assert not terminal.cursor_hidden
        terminal.press("clear; echo it is $((40 + 2))\r")
        terminal.shows("it is 42")
        terminal.press("fg\r")
        terminal.shows("web-1", FOOTER)
        terminal.press("q")
        terminal.shows("shell>")
        terminal.press("exit 7\r")
        assert terminal.ends() == 7
        assert terminal.written.count(INTO) == terminal.written.count(OUT_OF) == 2


def test_redis_goes_away_and_comes_back(
    own_redis: EmbeddedRedis, run_node: RunNode, on_terminal: OnTerminal
) -> None:
    """It is said, and the view goes on."""
    run_node("web-1", url=own_redis.url)
    with on_terminal("--url", own_redis.url, "top", "--interval", "0.3") as terminal:
        terminal.shows("1 of 1 nodes alive", seconds=20)
        own_redis.stop(keep_data=True)
        terminal.shows("Redis: ", "web-1")
        own_redis.start()
        terminal.shows_no("Redis: ")
        terminal.shows("web-1", FOOTER)
        terminal.press("q")
        assert terminal.ends() == 0


@pytest.fixture
def frozen(fleet: list[NodeProcess]) -> Iterator[None]:
    """The agent of `web-2` and its family are stopped."""
    agent = psutil.Process(fleet[1].process.pid)
    family = [agent, *agent.children(recursive=True)]
    for member in family:
        member.suspend()
    yield
    for member in reversed(family):
        member.resume()


@pytest.mark.usefixtures("frozen")
def test_a_node_that_does_not_answer_is_shown_as_such(
    on_terminal: OnTerminal, corex: Corex
) -> None:
    """It holds up no other."""
    with on_terminal("top", "--interval", "0.5") as terminal:
        terminal.shows("no answer", seconds=20)
        states = {line.split()[0]: line for line in terminal.lines[2:4]}
        assert "alive" in states["web-1"]
        assert "no answer" in states["web-2"]
        terminal.press("q")
        assert terminal.ends() == 0
    done = corex("top", "web-2", "--once")
    assert (done.returncode, done.stderr) == (3, "corex: web-2: no answer\n")
    assert "no answer" in done.stdout


def test_a_thousand_nodes_cost_no_more_than_a_screenful(
    raw: redis.Redis, on_terminal: OnTerminal, redis_url: str, namespace: str
) -> None:
    """Only those that have a line are asked."""
    keys = Keys(f"{namespace}-many")
    names = [f"n{number:04}" for number in range(1000)]
    with raw.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zadd(keys.nodes(), {name: int(time.time() * 1000)})
            pipe.hset(keys.presence(name), mapping={"slots": 5, "running": 1, "load": "0.5"})
            pipe.expire(keys.presence(name), 60)
        pipe.execute()
    asked: set[bytes] = set()

    def look() -> bool:
        asked.update(raw.scan_iter(keys.control("*"), count=5000))
        return bool(asked)

    with on_terminal("--namespace", keys.namespace, "top", lines=25) as terminal:
        terminal.shows("1000 of 1000 nodes alive", "[1-10 of 1000]", seconds=20)
        eventually(look, "somebody is asked")
        terminal.press(TAB, "G")
        terminal.shows("n0999", "[991-1000 of 1000]")
        last = keys.control("n0999").encode()
        eventually(lambda: look() and last in asked, "the last one is asked")
        terminal.press("q")
        assert terminal.ends() == 0
    shown = {keys.control(name).encode() for name in (*names[:10], *names[-10:])}
    assert asked <= shown


def test_without_a_terminal_it_is_a_table(jobs: list[Job], corex: Corex) -> None:
    """One snapshot, without graphs; of nodes, then of jobs."""
    done = corex("top")
    assert (done.returncode, done.stderr) == (0, "")
    nodes, _, found = done.stdout.partition("\n\n")
    assert [line.split()[0] for line in nodes.splitlines()] == ["NODE", "web-1", "web-2"]
    assert found.splitlines()[0].split()[0] == "CPU%"
    assert {line.split()[4] for line in found.splitlines()[1:]} == {job.id for job in jobs}
    assert not set("▁▂▃▄▅▆▇█…\x1b") & set(done.stdout)


def test_as_json_it_is_a_record_a_line(jobs: list[Job], corex: Corex) -> None:
    records = [json.loads(line) for line in corex("top", "web-1", "--json").stdout.splitlines()]
    assert [record["kind"] for record in records] == ["node", "job", "job"]
    node, busy, idle = records
    assert (node["id"], node["answered"], node["slots"]) == ("web-1", True, 200)
    assert 0 < node["cpu_percent"] <= 100
    assert 0 < node["memory_percent"] <= 100
    assert {busy["id"], idle["id"]} == {job.id for job in jobs[:2]}
    assert busy["cpu"] >= idle["cpu"]


def test_a_dumb_terminal_gets_a_table(jobs: list[Job], environment: dict[str, str]) -> None:
    """It can neither go back nor hide its cursor."""
    command = ["env", "TERM=dumb", str(COREX), "top"]
    with Terminal(command, env=environment) as terminal:
        assert terminal.ends() == 0
        assert jobs[0].id in terminal.text
        assert b"\x1b" not in terminal.written
