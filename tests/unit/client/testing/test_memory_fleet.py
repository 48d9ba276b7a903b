"""Nodes in memory: what tests of other programs say of them, and see."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import corex.testing
from corex import (
    AsyncClient,
    Client,
    Command,
    ConfigError,
    JobFailed,
    JobState,
    NoSuchNodeError,
    NotFoundError,
    StoreUnavailableError,
    WaitTimeout,
)
from corex.testing import Answer, MemoryFleet, MemoryJob
from corex.testing.answers import FOREVER
from tests.helpers.eventually import eventually


@pytest.fixture
def cx() -> Iterator[MemoryFleet]:
    """A fleet of one node, `n1`."""
    with corex.testing.fleet(["n1"]) as fleet:
        yield fleet


def test_commands_are_recorded(cx: MemoryFleet) -> None:
    """With all that they ask; what every node answers is not."""
    node = cx.memory_node("n1")
    node.answer("bash", stdout="ok\n")
    cx.node("n1").ping()
    cx.node("n1").bash("make all", tags=["t"], queue="q").wait(timeout=5)
    (command,) = node.commands
    assert (command.command, command.arguments) == ("bash", {"script": "make all"})
    assert (command.tags, command.queue) == (["t"], "q")


def test_what_was_said_last_comes_first(cx: MemoryFleet) -> None:
    """And what it does not fit, or no more, what was said before."""
    node, remote = cx.memory_node("n1"), cx.node("n1")
    node.answer("bash", stdout="any")
    node.answer("bash", stdout="make", script=re.compile("^make"))
    node.answer("bash", Answer(stdout="twice"), script="all$", times=2)
    node.answer("bash", stdout="stdin", arguments={"stdin": "x"})
    scripts = ["ls", "make", "make all", "rm all", "make all", "rm all"]
    said = [remote.bash(script).wait(timeout=5).stdout for script in scripts]
    assert said == ["any", "make", "twice", "twice", "make", "any"]
    assert remote.bash("make", stdin="x").wait(timeout=5).stdout == "stdin"


def test_programs_are_told_apart_by_their_command_lines(cx: MemoryFleet) -> None:
    """Program and arguments, with spaces between."""
    cx.memory_node("n1").answer("core.system", stdout="v2", script="^git --version$")
    assert cx.node("n1").system("git", args=["--version"]).wait(timeout=5).stdout == "v2"


def test_a_program_of_which_nothing_was_said(cx: MemoryFleet) -> None:
    """It fails, so that no test passes by what it did not think of; the error says what to do."""
    with pytest.raises(JobFailed, match=r"nothing says what bash answers on node n1: use answer"):
        cx.node("n1").bash("ls").wait(timeout=5).check()


@pytest.mark.parametrize(
    "fields, state, code",
    [
        ({"code": 3}, JobState.ERROR, 1003),
        ({"signal": 9}, JobState.ERROR, 1137),
        ({"state": JobState.LOST}, JobState.LOST, 503),
        ({"state": JobState.REJECTED}, JobState.REJECTED, 400),
        ({"state": JobState.EXPIRED}, JobState.EXPIRED, 410),
        ({"error": NotFoundError("x")}, JobState.ERROR, 404),
        ({"data": {"a": [1]}}, JobState.SUCCESS, 0),
        ({"data": {1j}}, JobState.ERROR, 500),
        ({"delay": 0.05}, JobState.SUCCESS, 0),
    ],
)
def test_every_end(cx: MemoryFleet, fields: dict[str, Any], state: JobState, code: int) -> None:
    """Exit codes, signals, states, errors, answers; a command that no node has, too."""
    cx.memory_node("n1").answer("deploy", **fields)
    result = cx.node("n1").submit("deploy").wait(timeout=5)
    assert (result.state, result.code) == (state, code)
    if "data" in fields and result.ok:
        assert cx.node("n1").call("deploy", timeout=5) == fields["data"]


@pytest.mark.parametrize(
    "fields", [{"code": 256}, {"code": -1}, {"signal": 65}, {"delay": -1}, {"delay": float("nan")}]
)
def test_an_answer_that_makes_no_sense(fields: dict[str, Any]) -> None:
    """It is refused where it is made; the error names the field."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        Answer(**fields)


def test_an_answer_and_fields_of_one(cx: MemoryFleet) -> None:
    """Nobody can tell which is meant."""
    with pytest.raises(TypeError, match="stdout"):
        cx.memory_node("n1").answer("bash", Answer(), stdout="x")


def test_functions_answer_commands(cx: MemoryFleet) -> None:
    """With the job in hand they write output that is heard live, in order."""

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any], job: MemoryJob) -> dict[str, Any]:
        for part in arguments["parts"]:
            job.write(f"{part}\n")
        job.write("careful", level=7)
        return {"done": len(arguments["parts"])}

    job = cx.node("n1").submit("deploy", {"parts": ["a", "b"]}, stream=True)
    messages = list(job.stream(timeout=5))
    assert [(one.seq, one.level, one.text) for one in messages[:-1]] == [
        (0, 1, "a\n"),
        (1, 1, "b\n"),
        (2, 7, "careful"),
    ]
    assert messages[-1].is_last
    result = job.wait(timeout=5)
    assert (result.stdout, result.data) == ("a\nb\n", '{"done":2}')


def test_coroutines_answer_commands(cx: MemoryFleet) -> None:
    """And are cancelled when they are killed."""
    seen: list[str] = []

    @cx.memory_node("n1").command("slow")
    async def slow(arguments: dict[str, Any]) -> str:
        try:
            seen.append("began")
            await asyncio.sleep(arguments["seconds"])
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "slept"

    assert cx.node("n1").call("slow", {"seconds": 0.01}, timeout=5) == "slept"
    job = cx.node("n1").submit("slow", {"seconds": 30})
    eventually(lambda: seen == ["began", "began"])
    assert job.kill()
    assert job.wait(timeout=5).state is JobState.KILLED
    eventually(lambda: seen[2:] == ["cancelled"])


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_a_function_that_raises(cx: MemoryFleet, error: BaseException) -> None:
    """Whatever it is, the job has its result."""

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any]) -> None:
        raise error

    result = cx.node("n1").submit("deploy").wait(timeout=5)
    assert (result.state, result.code) == (JobState.ERROR, 500)
    assert type(error).__name__ in result.data


def test_a_function_that_was_killed_is_not_heard_any_more(cx: MemoryFleet) -> None:
    """Though it goes on: nobody can end a thread. One that sleeps by its job is woken."""
    go_on, woken = threading.Event(), threading.Event()

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any], job: MemoryJob) -> str:
        job.write("before\n")
        go_on.wait(10)
        job.write("after\n")
        return "done"

    @cx.memory_node("n1").command("sleep")
    def sleep(arguments: dict[str, Any], job: MemoryJob) -> None:
        try:
            job.sleep(30)
        finally:
            woken.set()

    jobs = [cx.node("n1").submit(name) for name in ("deploy", "sleep")]
    eventually(lambda: all(job.state().stage == "running" for job in jobs))
    eventually(lambda: cx.memory_node("n1").jobs[jobs[0].id].signals == [])
    assert [job.kill() for job in jobs] == [True, True]
    go_on.set()
    results = [job.wait(timeout=5) for job in jobs]
    assert [result.state for result in results] == [JobState.KILLED] * 2
    assert results[0].stdout in ("", "before\n")
    assert woken.wait(5)


def test_a_run_that_follows_does_not_hear_the_one_before(cx: MemoryFleet) -> None:
    """What a run whose time was up goes on to write is not in the output of the next."""
    second, wrote = threading.Event(), threading.Event()

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any], job: MemoryJob) -> str:
        if job.runs > 1:
            second.set()
            wrote.wait(10)
            return "done"
        second.wait(10)
        job.write("late\n")
        wrote.set()
        return "late"

    result = cx.node("n1").submit("deploy", max_time=0.05, max_restart=2).wait(timeout=5)
    assert (result.stdout, result.data, result.attempts) == ("", '"done"', 2)


def test_groups_and_labels(cx: MemoryFleet) -> None:
    """Each command of a group goes to one node of it that has room."""
    made = [cx.add(f"b{i}", groups=["build"], labels={"zone": "eu"}, slots=1) for i in (1, 2)]
    for node in made:
        node.answer("bash", delay=FOREVER)
    jobs = [cx.group("build").bash("make") for _ in range(3)]
    eventually(lambda: sum(job.state().stage == "running" for job in jobs) == 2)
    assert [len(node.commands) for node in made] == [1, 1]
    assert jobs[2].state().stage == "queued"
    assert [node.id for node in cx.nodes() if node.labels == {"zone": "eu"}] == ["b1", "b2"]
    eventually(lambda: [node.running for node in cx.nodes()] == [1, 1, 0])
    jobs[0].kill()
    eventually(lambda: jobs[2].state().stage == "running")


def test_a_node_takes_no_more_than_it_has_slots(cx: MemoryFleet) -> None:
    """What is beyond waits in its list, and control commands are answered meanwhile."""
    cx.add("small", slots=2).answer("bash", delay=FOREVER)
    jobs = [cx.node("small").bash("x") for _ in range(3)]
    eventually(lambda: [job.state().stage for job in jobs] == ["running", "running", "queued"])
    assert "PONG" in cx.node("small").ping(timeout=5)
    jobs[0].kill()
    eventually(lambda: jobs[2].state().stage == "running")


def test_a_queue_of_the_fleet(cx: MemoryFleet) -> None:
    """One job at a time, whatever node it is of; one of a node that dies is not passed by."""
    for node in (cx.memory_node("n1"), cx.add("n2")):
        node.answer("bash", delay=FOREVER)
    options: Any = {"queue": "q", "queue_scope": "fleet"}
    first, second = (cx.node(node).bash("x", **options) for node in ("n1", "n2"))
    eventually(lambda: (first.state().stage, second.state().stage) == ("running", "waiting"))
    (held,) = cx.node("n2").queues.list()
    assert (held.scope, held.node, held.holder) == ("fleet", "n1", first.id)
    assert held.waiters == [f"n2/{second.id}"]
    first.kill()
    eventually(lambda: second.state().stage == "running")


def test_a_node_that_is_away(cx: MemoryFleet) -> None:
    """What ran is lost at once, or unsettled; what is pushed waits, and is run when it is back."""
    node = cx.add("n2")
    node.answer("bash", delay=FOREVER, script="long")
    node.answer("bash", stdout="ok", script="short")
    ran = cx.node("n2").bash("long")
    eventually(lambda: ran.state().stage == "running")
    node.die()
    assert ran.wait(timeout=5).state is JobState.LOST
    assert "settled by node n1" in ran.wait().data
    waits = cx.node("n2").bash("short")
    with pytest.raises(WaitTimeout):
        waits.wait(timeout=0.05)
    assert [one.alive for one in cx.nodes()] == [True, False]
    node.come_back()
    assert waits.wait(timeout=5).stdout == "ok"
    assert cx.node("n2").presence().alive


def test_a_node_that_is_paused(cx: MemoryFleet) -> None:
    """It has a heartbeat, and answers nothing."""
    node = cx.memory_node("n1")
    node.pause()
    with pytest.raises(WaitTimeout):
        cx.node("n1").ping(timeout=0.1)
    assert cx.node("n1").presence().alive
    node.resume()
    assert "PONG" in cx.node("n1").ping(timeout=5)


def test_a_command_that_was_just_taken_as_its_node_is_paused(cx: MemoryFleet) -> None:
    """It goes back to its list: it is queued, and neither lost nor run."""
    node = cx.memory_node("n1")
    node.answer("bash", stdout="ok")

    def taken() -> corex.Job | None:
        with node.lock:  # whoever takes the command waits for this, with it in hand
            job = cx.node("n1").bash("x")
            with contextlib.suppress(AssertionError):  # the node waited for this already
                eventually(lambda: job.state().stage == "unknown", seconds=0.5)
                node.pause()
                return job
        job.wait(timeout=5)
        return None

    job = eventually(taken)
    assert job is not None
    eventually(lambda: job.state().stage == "queued")
    assert job.id not in [command.id for command in node.commands]
    node.resume()
    assert job.wait(timeout=5).stdout == "ok"


def test_redis_may_be_away(cx: MemoryFleet) -> None:
    """A push fails; a wait goes on, and what came meanwhile is there when it is back."""
    release = threading.Event()

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any]) -> str:
        release.wait(10)
        return "done"

    job = cx.node("n1").submit("deploy")
    eventually(lambda: job.state().stage == "running")
    cx.redis_away = True
    assert cx.redis_away
    with pytest.raises(StoreUnavailableError):
        cx.nodes()
    release.set()
    eventually(lambda: not cx.memory_node("n1").jobs)
    with pytest.raises(WaitTimeout, match="Redis"):
        job.wait(timeout=0.2)
    cx.redis_away = False
    assert job.wait(timeout=5).data == '"done"'


def test_other_clients_of_the_process(cx: MemoryFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its URL, as code under test makes them; each fleet is a world of its own."""
    monkeypatch.setenv("COREX_URL", cx.url)
    with Client() as other, corex.testing.fleet(["n2"]) as elsewhere:
        assert "PONG" in other.node("n1").ping(timeout=5)
        assert [node.id for node in elsewhere.nodes()] == ["n2"]
    with corex.testing.fleet(["n1"]) as gone:
        url = gone.url
    with pytest.raises(ConfigError, match="no such server in this process"):
        Client(url)


async def test_the_asyncio_client(cx: MemoryFleet) -> None:
    """The same nodes, in coroutines; streams, waits and kills."""
    node = cx.memory_node("n1")
    node.answer("bash", stdout="ok\n")
    node.answer("bash", delay=FOREVER, script="long")
    async with cx.async_client() as client:
        assert isinstance(client, AsyncClient)
        job = await client.node("n1").bash("x", stream=True)
        assert [one.text async for one in job.stream(timeout=5)] == ["ok\n", ""]
        assert (await job.wait(timeout=5)).ok
        long = await client.node("n1").bash("long")
        with pytest.raises(WaitTimeout):
            await long.wait(timeout=0.05)
        assert await long.kill()
        assert (await long.wait(timeout=5)).state is JobState.KILLED
        jobs = await client.submit_many([("n1", Command("core.ping"))] * 20)
        done = [result.ok async for _, result in client.as_completed(jobs, timeout=10)]
        assert done == [True] * 20


async def test_a_wait_that_is_cancelled_takes_nothing_of_others(cx: MemoryFleet) -> None:
    """What comes for an inbox after its reader was cancelled is there for the next reader."""
    release = threading.Event()

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any]) -> str:
        release.wait(10)
        return "done"

    async with cx.async_client() as client:
        job = await client.node("n1").submit("deploy")
        waits = asyncio.create_task(job.wait(timeout=10))
        await asyncio.sleep(0.1)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        release.set()
        assert (await job.wait(timeout=5)).ok


def test_what_nodes_log_is_heard(cx: MemoryFleet) -> None:
    """Messages for operators, by whoever follows the nodes."""

    @cx.memory_node("n1").command("deploy")
    def deploy(arguments: dict[str, Any], job: MemoryJob) -> None:
        job.write("not for operators")
        job.write("disk full", level=9)

    heard: list[str] = []
    thread = threading.Thread(
        target=lambda: heard.extend(
            message.text for message in _first(cx.follow_nodes("n*", levels={9}, timeout=10))
        )
    )
    thread.start()

    def told() -> bool:
        cx.node("n1").submit("deploy").wait(timeout=5)
        return bool(heard)

    eventually(told)
    thread.join(10)
    assert heard == ["disk full"]


def _first(messages: Iterator[Any]) -> Iterator[Any]:
    """The first message that is no sign of a gap."""
    for message in messages:
        if message.level == 9:
            yield message
            return


def test_nodes_by_name(cx: MemoryFleet) -> None:
    """One that there is not is an error, and so is a second of one name."""
    assert cx.memory_nodes == [cx.memory_node("n1")]
    with pytest.raises(NoSuchNodeError):
        cx.memory_node("n2")
    with pytest.raises(ValueError, match="n1"):
        cx.add("n1")
    with pytest.raises(corex.InvalidIdError):
        cx.add("a b")


def test_a_fleet_leaves_nothing_behind() -> None:
    """Neither threads nor clients that wait; it may be closed twice."""
    before = set(threading.enumerate())
    fleet = corex.testing.fleet(["n1"])
    fleet.memory_node("n1").answer("bash", delay=FOREVER)
    job = fleet.node("n1").bash("x")
    eventually(lambda: job.state().stage == "running")
    fleet.close()
    fleet.close()
    eventually(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("missing", ["fakeredis", "lupa"])
def test_what_it_needs_is_not_there(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """The error says how to install it."""
    found = importlib.util.find_spec

    def find_spec(name: str) -> Any:
        return None if name == missing else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(ConfigError, match=f"{missing} is not installed.*testing"):
        corex.testing.fleet()


def test_files(cx: MemoryFleet, tmp_path: Path) -> None:
    """What clients copy to and fro is in memory, for the test to put there and look at."""
    files, fs = cx.memory_node("n1").files, cx.node("n1").fs
    content = os.urandom(1_200_000)
    (tmp_path / "app").write_bytes(content)
    fs.upload(str(tmp_path / "app"), "/srv/app", mode=0o640)
    assert dict(files) == {"/srv/app": content}
    assert files.mode("/srv/app") == 0o640
    files["/etc/motd"] = b"hello\n"
    fs.download("/etc/motd", str(tmp_path / "motd"))
    assert (tmp_path / "motd").read_bytes() == b"hello\n"
    assert fs.stat("/etc/motd").size == 6
    assert [(entry.name, entry.is_dir) for entry in fs.list("/")] == [("etc", True), ("srv", True)]
    fs.mkdir("/a/b")
    fs.move("/srv/app", "/a/b/app")
    assert fs.exists("/a/b/app")
    assert not fs.exists("/srv/app")
    assert fs.checksum("/a/b/app") == hashlib.sha256(content).hexdigest()
    fs.remove("/a")
    assert list(files) == ["/etc/motd"]
    fd = fs.open("/log", "a+")
    fs.write(fd, b"one\n")
    fs.write(fd, b"two\n")
    assert fs.read(fd, size=3, offset=4) == b"two"
    fs.close(fd)
    with pytest.raises(JobFailed) as caught:
        fs.read(fd)
    assert caught.value.result.code == 404
    assert cx.memory_node("n1").commands == []
