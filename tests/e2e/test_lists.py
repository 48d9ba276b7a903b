"""`corex nodes`, `ps` and `queues`: on terminals of 80 and of 160 columns, in pipes, as JSON."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from corex import Client, Job
from corex_node.process.embedded import EmbeddedRedis
from tests.e2e.conftest import Corex, OnTerminal
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode

HOSTILE = "\x1b]0;title\x07\x1b[31mred\x1b[2J\u202e"


def _runs(client: Client, node: str, job: Job) -> bool:
    return any(
        entry.id == job.id and entry.stage == "running" for entry in client.node(node).jobs.list()
    )


def _running(client: Client, node: str, *args: str, **options: object) -> Job:
    """Start `sleep`, and wait until it runs."""
    job = client.node(node).system("sleep", args=args, **options)  # type: ignore[arg-type]
    eventually(lambda: _runs(client, node, job), "it runs")
    return job


@pytest.mark.parametrize("width", [80, 160])
def test_jobs_on_a_terminal(cx: Client, on_terminal: OnTerminal, width: int) -> None:
    """Each in one line that fits: where, which, since when, and the command as people write it."""
    job = _running(cx, "web-1", "1234.5", tags=["nightly"])
    script = cx.node("web-2").bash("# comment\nsleep 1000\necho 'it is over'")
    eventually(lambda: _runs(cx, "web-2", script))
    with on_terminal("ps", columns=width, lines=12) as terminal:
        assert terminal.ends() == 0
        head, *rows = terminal.text.split("\n")
    assert head.split()[:6] == ["NODE", "JOB", "STAGE", "AGE", "CPU%", "MEM"]
    assert head.split()[-1] == "COMMAND"
    assert ("TAGS" in head, "nightly" in rows[0]) == ((width == 160,) * 2)
    assert [row.split()[:3] for row in rows] == [
        ["web-1", job.id, "running"],
        ["web-2", script.id, "running"],
    ]
    assert "sleep 1234.5" in rows[0]
    if width == 160:
        assert rows[1].endswith("sleep 1000; echo 'it is over'")
    else:
        assert rows[1].endswith("…")


def test_jobs_in_a_pipe_are_not_cut(cx: Client, corex: Corex) -> None:
    """Nor coloured, whatever the width of the terminal that was there before."""
    _running(cx, "web-1", *(f"{number}000" for number in range(1, 60)), tags=["t"])
    done = corex("ps", "web-1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].endswith(" 58000 59000")
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout


def test_jobs_as_json(cx: Client, corex: Corex) -> None:
    """One object a line; those of one target."""
    job = _running(cx, "web-1", "1000", queue="deploy", tags=["t"], max_time=5000)
    waiting = cx.node("web-1").system("sleep", args=["2000"], queue="deploy")
    _running(cx, "web-2", "1000")
    eventually(lambda: len(cx.node("web-1").jobs.list()) >= 2)
    lines = [json.loads(line) for line in corex("ps", "zone=eu", "--json").stdout.splitlines()]
    found = {line["id"]: line for line in lines}
    assert set(found) == {job.id, waiting.id}
    first = found[job.id]
    assert (first["node"], first["stage"], first["queue"]) == ("web-1", "running", "deploy")
    assert (first["text"], first["tags"], first["max_time"]) == ("sleep 1000", ["t"], 5000)
    assert first["rss"] > 0
    assert (found[waiting.id]["stage"], found[waiting.id]["starttime"]) == ("waiting", 0)


def test_no_jobs_are_no_lines(cx: Client, corex: Corex) -> None:
    """But the head, and no lines of JSON at all. What asks is none of them."""
    eventually(lambda: corex("ps").stdout.count("\n") == 1, "only the head is left")
    done = corex("ps", "@build", "--json")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_node_that_does_not_answer_is_named(
    cx: Client, corex: Corex, fleet: list[NodeProcess]
) -> None:
    """The others are listed; 1 when some answered, 3 when none did."""
    job = _running(cx, "web-2", "1000")
    agent = psutil.Process(fleet[0].process.pid)
    family = [agent, *agent.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        done = corex("ps", "--timeout", "1")
        assert done.returncode == 1
        assert done.stderr == "corex: web-1: no answer within 1 s\n"
        assert job.id in done.stdout
        done = corex("queues", "web-1", "--timeout", "0.3")
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == "corex: web-1: no answer within 0.3 s\n"
        assert corex("ps", "web-1", "--timeout", "0.3").returncode == 3
        left = cx.perform(_control(cx, "web-1"))
    finally:
        for member in reversed(family):
            member.resume()
    # One of the three questions the agent may have begun to take when it was stopped.
    assert left <= 1


def _control(client: Client, node: str):  # type: ignore[no-untyped-def]
    from corex.effects import Run

    (length,) = yield Run([("LLEN", client.core.keys.control(node))])
    return length


@pytest.mark.parametrize("command", ["ps", "queues", "top"])
def test_no_node_is_3(cx: Client, corex: Corex, command: str) -> None:
    """Whether it is named or meant."""
    done = corex(command, "nope")
    assert (done.returncode, done.stderr) == (3, "corex: no such node: nope\n")
    done = corex("--namespace", "empty", command)
    assert (done.returncode, done.stderr) == (3, "corex: no node is alive\n")


@pytest.mark.parametrize("command", ["ps", "queues", "nodes", "top"])
def test_no_redis_is_3(corex: Corex, command: str) -> None:
    """It is said in a line."""
    done = corex("--url", "redis://127.0.0.1:1", command)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("width", [80, 160])
def test_queues_on_a_terminal(cx: Client, on_terminal: OnTerminal, width: int) -> None:
    """One of the fleet once, with its token; who holds each, and how many wait."""
    holder = _running(cx, "web-1", "1000", queue=f"r{width}", queue_scope="fleet")
    own = _running(cx, "web-2", "1000", queue="deploy")
    waiting = cx.node("web-2").system("true", queue=f"r{width}", queue_scope="fleet")
    eventually(
        lambda: any(entry.waiters for entry in cx.node("web-2").queues.list()), "it waits in line"
    )
    with on_terminal("queues", columns=width, lines=12) as terminal:
        assert terminal.ends() == 0
        head, shared, other = terminal.text.split("\n")
    titles = ["QUEUE", "SCOPE", "NODE", "HOLDER", "STAGE", "AGE", "TOKEN", "WAITING"]
    assert head.split() == [*titles, "NEXT"][: 9 if width == 160 else 8]
    assert shared.split()[:5] == [f"r{width}", "fleet", "web-1", holder.id, "running"]
    assert shared.split()[6:8] == ["1", "1"]
    assert (f"web-2/{waiting.id}" in shared) == (width == 160)
    assert other.split()[:5] == ["deploy", "node", "web-2", own.id, "running"]
    assert other.split()[6:8] == ["-", "0"]


def test_queues_as_json(cx: Client, corex: Corex) -> None:
    holder = _running(cx, "web-1", "1000", queue="q1")
    waiting = cx.node("web-1").system("true", queue="q1")
    eventually(lambda: cx.node("web-1").queues.list()[0].waiters)
    (line,) = corex("queues", "web-1", "--json").stdout.splitlines()
    entry = json.loads(line)
    assert (entry["queue"], entry["scope"], entry["node"]) == ("q1", "node", "web-1")
    assert (entry["holder"], entry["waiters"]) == (holder.id, [waiting.id])
    assert corex("queues", "web-2", "--json").stdout == ""


@pytest.mark.parametrize("width", [40, 80, 160])
def test_nodes_on_a_terminal(fleet: list[NodeProcess], on_terminal: OnTerminal, width: int) -> None:
    """Each in one line that fits, its state in a colour."""
    with on_terminal("nodes", columns=width, lines=12) as terminal:
        assert terminal.ends() == 0
        head, *rows = terminal.text.split("\n")
        assert terminal.colours("alive") == {"green"}
    assert [row.split()[0] for row in rows] == ["web-1", "web-2"]
    assert ("LABELS" in head, "zone=eu" in rows[0]) == ((width > 40,) * 2)
    assert "RUNNING" in head
    if width > 40:
        assert rows[0].endswith("s ago")


def test_colours_are_for_terminals_that_want_them(
    fleet: list[NodeProcess], corex: Corex, on_terminal: OnTerminal, environment: dict[str, str]
) -> None:
    """`NO_COLOR` is respected, and a pipe gets none even when colours are forced."""
    with on_terminal("nodes", env={**environment, "NO_COLOR": "1"}) as terminal:
        assert terminal.ends() == 0
        assert terminal.colours("alive") == {"default"}
    done = corex("nodes", env={**environment, "FORCE_COLOR": "1"})
    assert "\x1b" not in done.stdout


def test_nodes_are_chosen(fleet: list[NodeProcess], corex: Corex) -> None:
    """By ID, glob, label and group; a line of JSON each."""
    for target, names in [
        ("web-1", ["web-1"]),
        ("web-*", ["web-1", "web-2"]),
        ("zone=us", ["web-2"]),
        ("@build", ["web-1", "web-2"]),
        ("web-2,web-1", ["web-1", "web-2"]),
    ]:
        lines = corex("nodes", target, "--json").stdout.splitlines()
        assert [json.loads(line)["id"] for line in lines] == names, target
    done = corex("nodes", "web-1,nope")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "corex: no such node: nope\n")


def test_a_node_that_is_gone(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    corex: Corex,
    on_terminal: OnTerminal,
    namespace: str,
) -> None:
    """It is listed, in red, with when it was there; its jobs are not asked for."""
    node = run_node("old-1", url=own_redis.url)
    node.stop()
    url = ("--url", own_redis.url)
    with on_terminal(*url, "nodes", "old-*", columns=80) as terminal:
        assert terminal.ends() == 0
        assert terminal.colours("gone") == {"red"}
        assert terminal.lines[1].split()[:2] == ["old-1", "gone"]
        assert terminal.lines[1].endswith("s ago")
    assert corex(*url, "ps").returncode == 3


def test_strangers_cannot_command_the_terminal(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    on_terminal: OnTerminal,
    corex: Corex,
    namespace: str,
    tmp_path: Path,
) -> None:
    """What others wrote into labels, arguments and tags is shown, in no colour of theirs."""
    node = run_node("evil", url=own_redis.url, args=["--label", f"l={HOSTILE}"])
    with Client(own_redis.url, namespace=namespace) as client:
        job = client.node("evil").bash(f"sleep 1000; : '{HOSTILE}'", tags=[HOSTILE])
        eventually(lambda: _runs(client, "evil", job))
        for command in (["nodes"], ["ps"], ["top", "--once"]):
            with on_terminal("--url", own_redis.url, *command, columns=300) as terminal:
                assert terminal.ends() == 0
                assert "\\x1b]0;title\\x07\\x1b[31mred\\x1b[2J\\u202e" in terminal.text or (
                    command[0] == "top" and "…" in terminal.text
                )
                assert terminal.colours("red") <= {"default"}
                assert b"\x07" not in terminal.written
        client.node("evil").jobs.killall()
    assert node.stop() == 0


def test_raw_output_for_those_who_trust_it(
    cx: Client, on_terminal: OnTerminal, corex: Corex
) -> None:
    """`--raw` passes on what `result` and `logs` make harmless otherwise."""
    job = cx.node("web-1").bash(r"printf 'a\033]0;title\007b'", stream=True)
    job.wait(10)
    for command in ("result", "logs"):
        with on_terminal(command, job.id) as terminal:
            assert terminal.ends() == 0
            assert terminal.text == "a\\x1b]0;title\\x07b"
        with on_terminal(command, job.id, "--raw") as terminal:
            assert terminal.ends() == 0
            assert b"a\x1b]0;title\x07b" in terminal.written
        assert corex(command, job.id).stdout == "a\x1b]0;title\x07b"


def test_a_terminal_that_is_closed_ends_it(on_terminal: OnTerminal) -> None:
    with on_terminal("logs", "-f", "--node", "*") as terminal:
        terminal.signal(signal.SIGHUP)
        assert terminal.ends() == -signal.SIGHUP
