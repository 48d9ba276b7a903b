"""Groups in the hands of callers: the client library and the command line against real agents."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis

from corex import AsyncClient, Client, Command, DecodeError, InvalidIdError, JobState
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.groupwire import member_of
from tests.helpers.nodes import COREX, NodeProcess

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def namespace() -> str:
    """The namespace of all tests here, which share their agents."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module", autouse=True)
def nodes(
    redis_server: EmbeddedRedis, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """Two agents, `n1` and `n2`, of one group, with two slots each."""
    logs = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        started = []
        for name in ("n1", "n2"):
            env = member_of("build", 2, {"COREX_NODE_LIMITS_LEASE": "15"})
            log = logs / f"{name}.log"
            node = NodeProcess(name, redis_server.url, namespace, log, env=env)
            stack.callback(node.finish)
            node.start(wait=False)
            started.append(node)
        for node in started:
            node.wait_present()
        yield started


@pytest.fixture
def corex(redis_url: str, namespace: str) -> Run:
    """Run the command line to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COREX, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "COREX_URL": redis_url, "COREX_NAMESPACE": namespace},
        )

    return run


def test_one_node_of_the_group_runs_it(cx: Client) -> None:
    """With the methods that a node has."""
    group = cx.group("build")
    assert [node.id for node in group.nodes()] == ["n1", "n2"]
    result = group.bash("echo $COREX_JOB_ID").wait(10)
    assert result.stdout == f"{result.id}\n"
    assert result.node in {"n1", "n2"}
    assert group.system("echo", ["a b"]).wait(10).stdout == "a b\n"
    assert "PONG" in group.call("core.ping", timeout=10)
    job = group.submit("bash", {"script": "echo seen"}, stream=True)
    assert [message.text for message in job.stream(10)] == ["seen\n", ""]
    assert job.node is None
    assert job.state().node in {"n1", "n2"}
    assert repr(job) == f"<Job {job.id} on @build>"


def test_many_commands_for_groups_and_nodes(cx: Client) -> None:
    """A group stands beside nodes where targets are named."""
    commands = [Command("bash", {"script": "sleep 0.02"}) for _ in range(40)]
    jobs = cx.submit_many([(("@build", "n1")[at % 2], one) for at, one in enumerate(commands)])
    results = dict(cx.as_completed(jobs, timeout=20))
    assert len(results) == 40
    assert {results[job].node for job in jobs[1::2]} == {"n1"}
    assert {results[job].node for job in jobs[::2]} == {"n1", "n2"}
    more = cx.group("build").submit_many(commands[:3])
    assert all(result.ok for _, result in cx.as_completed(more, timeout=20))


async def test_with_coroutines(redis_url: str, namespace: str) -> None:
    """The same names."""
    async with AsyncClient(redis_url, namespace=namespace) as acx:
        group = acx.group("build")
        jobs = await asyncio.gather(*(group.bash("echo x") for _ in range(10)))
        results = await asyncio.gather(*(job.wait(10) for job in jobs))
        assert {result.stdout for result in results} == {"x\n"}
        assert "PONG" in await group.call("core.ping", timeout=10)
        assert (await (await group.system("true")).wait(10)).ok
        assert [node.id for node in await group.nodes()] == ["n1", "n2"]
        many = await group.submit_many([Command("core.ping")] * 3)
        assert all([(await job.wait(10)).ok for job in many])


def test_a_command_is_killed_wherever_it_is(cx: Client) -> None:
    """Where it runs, its node is asked; while it waits in the group's list, it is withdrawn."""
    group = cx.group("build")
    running = [group.bash("sleep 300") for _ in range(4)]
    waiting = group.bash("true")
    eventually(lambda: all(job.state().stage == "running" for job in running), "all slots are held")
    assert waiting.state().stage == "queued"
    assert waiting.kill()
    result = waiting.wait(10)
    assert (result.state, result.attempts) == (JobState.KILLED, 0)
    assert not waiting.kill()
    for job in running:
        assert job.kill()
        assert job.wait(10).state is JobState.KILLED
        assert not job.kill()
    fresh = group.bash("sleep 300")
    assert fresh.kill()  # claimed or not
    assert fresh.wait(10).state is JobState.KILLED


def test_a_command_that_was_handed_on_is_killed_too(
    cx: Client, raw: redis.Redis, namespace: str
) -> None:
    """It is nobody's while it waits in the list again, though its state is known."""
    job = cx.group("nobody").bash("true")
    for field, value in (("holder", "i1"), ("stage", "queued"), ("gone:n9/1", "1")):
        raw.hset(Keys(namespace).state(job.id), field, value)
    assert job.state().stage == "queued"
    assert job.kill()
    assert job.wait(10).state is JobState.KILLED
    assert raw.exists(Keys(namespace).group_commands("nobody")) == 0


def test_what_a_group_has_not_is_refused(cx: Client) -> None:
    """Names that none can have, and the list of commands that wait for nothing."""
    with pytest.raises(InvalidIdError, match="group ID 'a b'"):
        cx.group("a b")
    with pytest.raises(InvalidIdError, match="group ID ''"):
        cx.submit("@", Command("core.ping"))
    with pytest.raises(DecodeError, match="control: a group has no list"):
        cx.submit("@build", Command("core.ping"), control=True)


def test_the_command_line(corex: Run) -> None:
    """A group is one target: plain output, and the program's own exit code."""
    done = corex("sh", "@build", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    done = corex("run", "@build", "--", "echo", "a b")
    assert (done.stdout, done.returncode) == ("a b\n", 0)
    assert "PONG" in corex("call", "@build", "core.ping").stdout
    done = corex("sh", "@build", "true", "--json")
    result = json.loads(done.stdout)
    assert (result["state"], result["node"] in {"n1", "n2"}) == ("SUCCESS", True)
    done = corex("sh", "@build", "sleep 20", "--timeout", "0.5")
    assert (done.returncode, "not within 0.5 s" in done.stderr) == (124, True)
    assert "may still run" not in done.stderr


def test_the_command_line_with_several_targets(corex: Run) -> None:
    """Lines are preceded by the target; nodes and groups are named side by side."""
    done = corex("sh", "@build,n1", "echo x")
    assert sorted(done.stdout.splitlines()) == ["@build | x", "n1 | x"]
    assert done.returncode == 0


def test_the_command_line_tells_what_is_wrong(corex: Run) -> None:
    """A group without nodes is nobody; a group's name is an identifier; it has no control list."""
    done = corex("run", "@nobody", "--", "true")
    assert (done.returncode, done.stderr) == (3, "corex: no node in group: @nobody\n")
    assert corex("run", "@a b", "--", "true").returncode == 2
    done = corex("call", "@build", "core.ping", "--control")
    assert (done.returncode, "a group has no list" in done.stderr) == (2, True)


def test_nodes_tell_their_groups(corex: Run) -> None:
    """In the table and as JSON."""
    assert "build" in corex("nodes").stdout
    lines = corex("nodes", "--json").stdout.splitlines()
    assert [json.loads(line)["groups"] for line in lines] == [
        ["build"],
        ["build"],
    ]
