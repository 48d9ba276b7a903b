"""The command line against real agents."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from corex import Client
from corex.effects import Plan
from corex.effects import Run as Commands
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess

pytestmark = pytest.mark.timeout(120)

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def namespace() -> str:
    """The namespace of all tests here, which share their agents."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def nodes(
    redis_server: EmbeddedRedis, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """Two agents, `n1` and `n2`."""
    logs = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        started = []
        for name, labels in (("n1", ["--label", "zone=eu"]), ("n2", [])):
            node = NodeProcess(name, redis_server.url, namespace, logs / f"{name}.log", labels)
            stack.callback(node.finish)
            node.start()
            started.append(node)
        yield started


@pytest.fixture
def environment(redis_url: str, namespace: str) -> dict[str, str]:
    """What the command line finds in its environment."""
    return {**os.environ, "COREX_URL": redis_url, "COREX_NAMESPACE": namespace}


@pytest.fixture
def corex(environment: dict[str, str]) -> Run:
    """Run the command line to its end."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COREX, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start the command line and leave it running."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [COREX, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _runs(marker: str) -> bool:
    """Tell whether a process with this marker in its arguments runs."""
    return any(
        marker in " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline"])
    )


def test_run_on_one_node(corex: Run, nodes: list[NodeProcess]) -> None:
    """Both streams go where they belong, and the exit code is the remote one."""
    done = corex("run", "n1", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_run_on_several_nodes(corex: Run, nodes: list[NodeProcess]) -> None:
    """Each line has its node; a failure is told; the code is 1 if any failed."""
    done = corex("sh", "n*", "echo a; printf b; test $COREX_NOTHING")
    assert sorted(done.stdout.splitlines()) == ["n1 | a", "n1 | b", "n2 | a", "n2 | b"]
    assert done.stderr.splitlines() == ["corex: n1: exit code 1", "corex: n2: exit code 1"]
    assert done.returncode == 1
    assert corex("run", "n1,n2", "--", "true").returncode == 0


def test_a_queue_of_the_fleet(corex: Run, nodes: list[NodeProcess]) -> None:
    """Each node's job has a token of its own; in a queue of the node there is none."""
    options = ("n*", "echo token $COREX_FENCING_TOKEN", "--queue", "q")
    lines = corex("sh", *options, "--queue-scope", "fleet").stdout.splitlines()
    tokens = {int(line.rpartition(" ")[2]) for line in lines}
    assert len(tokens) == len(lines) == 2
    done = corex("sh", *options, "--queue-scope", "node")
    assert sorted(done.stdout.splitlines()) == ["n1 | token", "n2 | token"]


def test_options_reach_the_process(corex: Run, nodes: list[NodeProcess], tmp_path: Path) -> None:
    """Folder, environment, standard input, tags."""
    done = corex(
        *("run", "n1", "--dir", str(tmp_path), "--env", "A=1", "--env", "B=x=y", "--stdin"),
        *("--tag", "t1", "--tag", "t2", "--json", "--", "sh", "-c", "pwd; echo $A $B; cat"),
        stdin="in",
    )
    result = json.loads(done.stdout)
    assert result["streams"][0] == f"{tmp_path}\n1 x=y\nin"
    assert result["tags"] == ["t1", "t2"]


def test_json_results(corex: Run, nodes: list[NodeProcess]) -> None:
    """One result a line and target, in the order of the targets, and no other output."""
    done = corex("sh", "n2,n1", "--json", "echo x; exit 3")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["node"] for result in results] == ["n2", "n1"]
    assert [result["code"] for result in results] == [1003, 1003]
    assert (done.stderr, done.returncode) == ("", 1)


def test_a_script_from_stdin(corex: Run, nodes: list[NodeProcess]) -> None:
    """`-` reads the script."""
    assert corex("sh", "n1", "-", stdin="echo from; echo stdin").stdout == "from\nstdin\n"


def test_output_is_live(start: Start, nodes: list[NodeProcess]) -> None:
    """Lines are there while the process still runs."""
    process = start("sh", "n1", "echo first; sleep 60")
    assert process.stdout is not None
    begun = time.monotonic()
    assert process.stdout.readline() == "first\n"
    assert time.monotonic() - begun < 40
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_long_output_is_complete(corex: Run, nodes: list[NodeProcess]) -> None:
    """Nothing of much output is lost or changed."""
    done = corex("run", "n1", "--", "seq", "200000")
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 200_001))


@pytest.mark.parametrize(
    "arguments,code,text",
    [
        (["sh", "n1", "kill -9 $$"], 137, ""),
        (["sh", "n1", "sleep 20", "--max-time", "0.3"], 124, "corex: n1: TIMEOUT 504"),
        (["sh", "n1", "sleep 20", "--timeout", "0.5"], 124, "not within 0.5 s"),
        (["run", "n1", "--", "no-such-program"], 1, "no-such-program"),
        (["run", "nope", "--", "true"], 3, "corex: no such node: nope"),
        (["run", "n1,nope", "--", "true"], 3, "corex: no such node: nope"),
        (["run", "x*", "--", "true"], 3, "corex: no such node: x*"),
        (["run", "nope", "--detach", "--", "true"], 3, "corex: no such node: nope"),
        (["run", "@g", "--", "true"], 3, "no node in group: @g"),
        (["call", "n1", "no.such"], 1, "corex: n1: no such command: no.such"),
        (["result", "nojob"], 3, "no result"),
        (["result", "nojob", "--wait", "0.2"], 3, "nojob: not within 0.2 s"),
        (["logs", "nojob"], 3, "nobody knows it"),
        (["kill", "nojob"], 3, "nobody knows it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(
    corex: Run, nodes: list[NodeProcess], arguments: list[str], code: int, text: str
) -> None:
    """What goes wrong has its code and its line."""
    done = corex(*arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert done.stdout == ""


def test_calls(corex: Run, nodes: list[NodeProcess]) -> None:
    """Answers are printed plain, as JSON, and by node when there are several."""
    answer = corex("call", "n1", "core.ping")
    assert answer.stdout.startswith("PONG")
    assert answer.returncode == 0
    assert json.loads(corex("call", "n1", "core.ping", "--json").stdout).startswith("PONG")
    both = corex("call", "n1,n2", "core.ping").stdout.splitlines()
    assert [line.partition(" | ")[0] for line in both] == ["n1", "n2"]
    lines = corex("call", "n1,n2", "core.ping", "--json").stdout.splitlines()
    assert [json.loads(line)["node"] for line in lines] == ["n1", "n2"]
    jobs = corex("call", "n1", "job.list", "{}")
    assert json.loads(jobs.stdout)[0]["cmd"]["command"] == "job.list"
    shell = corex("call", "n1", "bash", '{"script": "echo o; echo e >&2"}')
    assert (shell.stdout, shell.stderr) == ("o\n", "e\n")


def test_nodes_are_listed(corex: Run, nodes: list[NodeProcess]) -> None:
    """As a table, and as JSON; a label chooses among them."""
    table = corex("nodes").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["NODE", "n1", "n2"]
    listed = [json.loads(line) for line in corex("nodes", "--json").stdout.splitlines()]
    assert [(node["id"], node["alive"]) for node in listed] == [("n1", True), ("n2", True)]
    assert corex("sh", "zone=eu", "--json", "true").stdout.count("\n") == 1


def test_a_detached_job(corex: Run, nodes: list[NodeProcess], tmp_path: Path) -> None:
    """Its ID is printed; its output, result and end are found by it."""
    go = tmp_path / "go"
    script = f"echo a; until [ -e {go} ]; do sleep 0.02; done; echo b; exit 4"
    done = corex("sh", "n1", "--detach", script)
    job = done.stdout.strip()
    assert done.returncode == 0
    assert corex("result", job).returncode == 3
    go.touch()
    followed = corex("logs", "-f", job)
    assert (followed.stdout, followed.stderr, followed.returncode) == ("a\nb\n", "", 4)
    result = corex("result", job, "--wait", "10")
    assert (result.stdout, result.returncode) == ("a\nb\n", 4)
    assert json.loads(corex("result", job, "--json").stdout)["id"] == job
    printed = corex("logs", job)
    assert (printed.stdout, printed.stderr, printed.returncode) == ("a\nb\n", "", 0)
    messages = [json.loads(line) for line in corex("logs", job, "--json").stdout.splitlines()]
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    killed = corex("kill", job)
    assert killed.returncode == 1
    assert "it is finished" in killed.stderr


@pytest.mark.parametrize(
    "script,options,code,said",
    [
        ("echo a; sleep 60", {"max_time": 0.2}, 124, "corex: n1: TIMEOUT "),
        ("echo a", {"expires_at": 1}, 1, "corex: n1: EXPIRED "),
        ("echo a; kill -9 $$", {}, 137, ""),
    ],
)
def test_who_follows_a_job_exits_as_it_did(
    corex: Run,
    nodes: list[NodeProcess],
    redis_url: str,
    namespace: str,
    script: str,
    options: dict[str, Any],
    code: int,
    said: str,
) -> None:
    """And says why, as `result` does; without `-f` what is there is printed, which succeeds."""
    with Client(redis_url, namespace=namespace) as cx:
        job = cx.node("n1").bash(script, stream=True, **options)
        followed = corex("logs", "-f", "--json", job.id)
        printed = corex("logs", job.id)
        assert not job.wait(timeout=1).ok
    assert (followed.returncode, printed.returncode) == (code, 0)
    assert followed.stderr == printed.stderr
    assert followed.stderr.startswith(said)
    assert bool(said) == bool(followed.stderr)


def test_a_job_whose_result_has_gone_was_not_seen_to_succeed(
    corex: Run, nodes: list[NodeProcess], redis_url: str, namespace: str
) -> None:
    """Its log is printed, and there is no result to exit by, as `result` says too."""
    with Client(redis_url, namespace=namespace) as cx, redis.Redis.from_url(redis_url) as raw:
        job = cx.node("n1").bash("echo a", stream=True)
        assert job.wait(timeout=10).ok
        raw.delete(Keys(namespace).result(job.id))
    followed, printed = corex("logs", "-f", job.id), corex("logs", job.id)
    assert (followed.stdout, followed.returncode) == ("a\n", 3)
    assert f"job {job.id}: no result" in followed.stderr
    assert (printed.stdout, printed.stderr, printed.returncode) == ("a\n", "", 0)


def test_a_detached_job_is_killed(corex: Run, nodes: list[NodeProcess]) -> None:
    """`kill` ends it, and its result says so."""
    job = corex("run", "n1", "--detach", "--", "sleep", "97.31").stdout.strip()
    eventually(lambda: _runs("97.31"))
    assert corex("kill", job, "--signal", "KILL").returncode == 0
    assert corex("result", job, "--wait", "10").returncode == 137
    eventually(lambda: not _runs("97.31"))


@pytest.mark.parametrize(
    "number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interruption_kills_what_was_started(
    start: Start, nodes: list[NodeProcess], number: signal.Signals, code: int
) -> None:
    """Ctrl-C and its like leave no process behind on any node."""
    process = start("sh", "n1,n2", f"echo started; sleep 98.{number.value}")
    assert process.stdout is not None
    assert process.stdout.readline().endswith("started\n")
    assert process.stdout.readline().endswith("started\n")
    process.send_signal(number)
    assert process.wait(30) == code
    eventually(lambda: not _runs(f"98.{number.value}"))


def test_a_second_interruption_leaves_at_once(start: Start, nodes: list[NodeProcess]) -> None:
    """Who does not want to wait for stubborn processes need not."""
    process = start("sh", "n1", "--grace", "40", "trap '' TERM; echo $$; sleep 40; sleep 40")
    assert process.stdout is not None
    stubborn = psutil.Process(int(process.stdout.readline()))
    try:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130  # half of the grace
    finally:
        for member in [stubborn, *stubborn.children()]:  # the list is made before any is killed
            member.kill()


def test_an_interruption_withdraws_what_was_not_taken(
    start: Start, nodes: list[NodeProcess], redis_url: str, namespace: str
) -> None:
    """A command in the list of a stopped agent does not run later."""
    agent = psutil.Process(nodes[0].process.pid)
    family = [agent, *agent.children(recursive=True)]
    for member in family:
        member.suspend()
    try:
        with Client(redis_url, namespace=namespace) as cx:
            # The agent had asked for the next command already: it gets this one, stopped or not.
            cx.node("n1").submit("core.ping")
            queued = cx.core.keys.commands("n1")
            eventually(lambda: cx.perform(_length(queued)) == 0)
            process = start("sh", "n1", "sleep 99.5")
            eventually(lambda: cx.perform(_length(queued)) == 1)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert cx.perform(_length(queued)) == 0
    finally:
        for member in reversed(family):
            member.resume()
    time.sleep(0.5)
    assert not _runs("99.5")


def _length(key: str) -> Plan[int]:
    (length,) = yield Commands([("LLEN", key)])
    return int(length)


def test_a_closed_pipe_kills_what_was_started(start: Start, nodes: list[NodeProcess]) -> None:
    """`corex sh … | head` leaves nothing running and complains of nothing."""
    process = start("sh", "n1", "while :; do echo line; sleep 0.0507; done")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""
    eventually(lambda: not _runs("0.0507"))


def test_a_terminal_is_protected(environment: dict[str, str], nodes: list[NodeProcess]) -> None:
    """What a remote machine writes cannot command the terminal; colours it may use."""
    master, slave = pty.openpty()
    script = r"printf 'a\033]0;title\007b \033[31mred\033[0m\n'"
    process = subprocess.Popen(
        [COREX, "sh", "n1", script], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    assert process.wait(30) == 0
    seen = os.read(master, 4096).decode()
    os.close(master)
    assert seen == "a\\x1b]0;title\\x07b \x1b[31mred\x1b[0m\r\n"
