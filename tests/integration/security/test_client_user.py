"""A client, and an operator, whose Redis users may do no more than they need."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import corex
from corex_shared.errors import StoreForbiddenError, WaitTimeout
from corex_shared.keys import Keys
from corex_shared.scripts import script
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX, NodeProcess, RunNode
from tests.helpers.servers import Server
from tests.helpers.users import Users
from tests.helpers.wire import Wire


@pytest.fixture
def node(guarded: Server, users: Users, run_node: RunNode) -> NodeProcess:
    """An agent with a user of its own."""
    return run_node("n1", url=guarded.url_of(users.add("node", "n1")))


@pytest.fixture
def client_url(guarded: Server, users: Users) -> str:
    """URL of a client who writes no results."""
    return guarded.url_of(users.add("client", "c1"))


@pytest.fixture
def as_client(client_url: str) -> Iterator[Any]:
    """A bare connection of that client."""
    with redis.Redis.from_url(client_url) as connection:
        yield connection


@pytest.fixture
def as_operator(guarded: Server, users: Users) -> Iterator[Any]:
    """A bare connection of an operator."""
    with redis.Redis.from_url(guarded.url_of(users.add("operator", "o1"))) as connection:
        yield connection


def test_a_client_has_all_that_it_needs(
    node: NodeProcess, client_url: str, admin: redis.Redis, keys: Keys
) -> None:
    """Run, follow, wait for others' jobs, kill, look; and the command line does too."""
    namespace = node.namespace
    with corex.Client(client_url, namespace=namespace) as client:
        remote = client.node("n1")
        assert remote.bash("echo a").wait(timeout=10).stdout == "a\n"
        texts = [message.text for message in remote.bash("echo b", stream=True).stream()]
        assert texts[0] == "b\n"
        assert [found.id for found in client.nodes()] == ["n1"]
        wire = Wire(admin, keys, "n1")
        foreign = wire.script("sleep 0.3; echo c")
        assert client.job(foreign).wait(timeout=10).stdout == "c\n"
        running = remote.system("sleep", args=["60"])
        eventually(lambda: running.state().stage == "running")
        assert running.kill()
        assert running.wait(timeout=10).state == "KILLED"
    done = subprocess.run(
        [str(COREX), "--url", client_url, "--namespace", namespace, "run", "n1", "--", "id", "-u"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("glob", ["n1", "n*", "*"])
def test_a_client_follows_what_nodes_log(node: NodeProcess, client_url: str, glob: str) -> None:
    """Of the nodes that it names, though its rights name the channels of all."""
    with corex.Client(client_url, namespace=node.namespace) as client:
        remote = client.node("n1")
        heard: list[str] = []

        def follow() -> None:
            with contextlib.suppress(WaitTimeout):
                for message in client.follow_nodes(glob, levels={2}, timeout=10):
                    heard.append(message.text)
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        while follower.is_alive():
            remote.bash("echo oops >&2").wait(timeout=10)
        follower.join()
        assert heard == ["oops\n"]


def test_a_client_cannot_withdraw_unless_it_may(
    guarded: Server, users: Users, client_url: str, namespace: str
) -> None:
    """To end a command that no node has claimed is to write its result."""
    with corex.Client(client_url, namespace=namespace) as client:
        job = client.node("nobody").bash("true")
        with pytest.raises(StoreForbiddenError, match="script finish"):
            job.kill()
        with pytest.raises(WaitTimeout):
            job.wait(timeout=0.1)
    allowed = guarded.url_of(users.add("client", "c2", "--withdraw"))
    with corex.Client(allowed, namespace=namespace) as client:
        job = client.node("nobody").bash("true")
        assert job.kill()
        assert job.wait(timeout=10).state == "KILLED"


@pytest.mark.parametrize("withdraw", [False, True])
def test_a_client_writes_nothing_of_a_node(
    guarded: Server, users: Users, keys: Keys, withdraw: bool
) -> None:
    """Claimed commands, presence and the list of nodes least of all."""
    login = users.add("client", "c1", *(["--withdraw"] if withdraw else []))
    connection: Any = redis.Redis.from_url(guarded.url_of(login))
    attempts: list[tuple[Any, ...]] = [
        ("HSET", keys.claimed("n1"), "f", "v"),
        ("HDEL", keys.claimed("n1"), "f"),
        ("HGETALL", keys.claimed("n1")),
        ("HSET", keys.presence("n1"), "incarnation", "forged"),
        ("DEL", keys.presence("n1")),
        ("ZADD", keys.nodes(), 1, "forged"),
        ("LPOP", keys.commands("n1")),
        ("LTRIM", keys.commands("n1"), 1, 0),
        ("DEL", keys.commands("n1")),
        ("RPUSH", keys.rejected("n1"), "forged"),
        ("HSET", keys.queue_owner("q"), "job", "forged"),
        ("SET", "anything", "v"),
    ]
    with connection:
        for attempt in attempts:
            with pytest.raises(redis.exceptions.NoPermissionError):
                connection.execute_command(*attempt)


def test_a_client_forges_no_results(as_client: Any, keys: Keys) -> None:
    """It reads results, states and logs, and writes none; nor does it read others' commands."""
    attempts: list[tuple[Any, ...]] = [
        ("LRANGE", keys.commands("n1"), 0, -1),
        ("RPUSH", keys.result("j"), "forged"),
        ("BLMOVE", keys.result("a"), keys.result("b"), "LEFT", "LEFT", 0.1),
        ("DEL", keys.result("j")),
        ("UNLINK", keys.result("j")),
        ("HSET", keys.state("j"), "stage", "finished"),
        ("XADD", keys.log("j"), "*", "m", "forged"),
        ("RPUSH", keys.inbox("other"), "forged"),
        ("PUBLISH", keys.stream("j"), "forged"),
        ("PUBLISH", keys.events(), "forged"),
        ("EVAL", "return 0", 0),
    ]
    for attempt in attempts:
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_client.execute_command(*attempt)
    assert as_client.lindex(keys.result("j"), 0) is None
    assert as_client.hgetall(keys.state("j")) == {}
    assert as_client.xrange(keys.log("j")) == []


@pytest.mark.parametrize(
    "words", ["CONFIG GET *", "KEYS *", "SCAN 0", "FLUSHALL", "ACL LIST", "MONITOR", "CLIENT LIST"]
)
def test_a_client_does_not_administer(as_client: Any, words: str) -> None:
    """Nor does it see which keys there are."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_client.execute_command(*words.split())


def test_an_operator_sees_everything_and_changes_nothing(
    as_operator: Any, admin: Any, keys: Keys
) -> None:
    """Of its namespace; of the server, how it is."""
    admin.rpush(keys.commands("n1"), "c")
    admin.hset(keys.claimed("n1"), "f", "v")
    assert as_operator.lrange(keys.commands("n1"), 0, -1) == [b"c"]
    assert as_operator.hgetall(keys.claimed("n1")) == {b"f": b"v"}
    assert as_operator.info("memory")["used_memory"] > 0
    assert as_operator.slowlog_get() is not None
    assert keys.commands("n1").encode() in set(as_operator.scan_iter(match=f"{keys.namespace}:*"))
    listening = as_operator.pubsub()
    listening.psubscribe(keys.node_log("*"))
    eventually(lambda: (listening.get_message(timeout=1) or {}).get("type") == "psubscribe")
    listening.close()
    writes: list[tuple[Any, ...]] = [
        ("RPUSH", keys.commands("n1"), "c"),
        ("LPOP", keys.commands("n1")),
        ("DEL", keys.commands("n1")),
        ("HSET", keys.claimed("n1"), "f", "w"),
        ("PEXPIRE", keys.claimed("n1"), 1),
        ("PUBLISH", keys.events(), "forged"),
        ("EVAL", "return 0", 0),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "LIST"),
        ("CLIENT", "KILL", "ID", "1"),
        ("FLUSHALL",),
        ("GET", "anything"),
    ]
    for attempt in writes:
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_operator.execute_command(*attempt)


def test_nobody_gets_in_without_a_name(guarded: Server) -> None:
    """The user of those who give none is switched off."""
    nobody = redis.Redis.from_url(guarded.url_of(""))
    with nobody, pytest.raises(redis.exceptions.AuthenticationError):
        nobody.ping()


@pytest.mark.parametrize("withdraw", [False, True])
def test_a_client_drives_runs(
    guarded: Server, users: Users, node: NodeProcess, admin: Any, keys: Keys, withdraw: bool
) -> None:
    """It begins, picks up and cancels them, and forgets nodes that are gone."""
    login = users.add("client", "c1", *(["--withdraw"] if withdraw else []))
    url = guarded.url_of(login)
    admin.zadd(keys.nodes(), {"gone": 1_000_000})
    with corex.Client(url, namespace=node.namespace) as client:
        run = client.fleet("*").bash("echo a", stream=True)
        assert [outcome.status for outcome in run.results()] == ["unreachable", "finished"]
        assert next(message.text for message in run.stream()) == "a\n"
        assert client.run(run.id).results() == run.results()
        sleeping = client.fleet("n1").system("sleep", args=["60"])
        with corex.Client(url, namespace=node.namespace) as other:
            (outcome,) = other.run(sleeping.id).cancel()
        assert outcome.result is not None
        assert outcome.result.state == "KILLED"
        admin.hset(keys.presence("idle"), "version", "0")
        admin.zadd(keys.nodes(), {"idle": 1})
        (waiting,) = client.fleet("idle").bash("true").cancel()
        assert waiting.status == ("finished" if withdraw else "skipped")
        assert not admin.exists(keys.commands("idle"))
        client.forget_node("gone")
        assert [found.id for found in client.nodes()] == ["idle", "n1"]


def test_a_client_writes_of_runs_only_what_is_its_own(as_client: Any, keys: Keys) -> None:
    """Its scripts reach the keys of runs and no others."""
    begin = script("run_begin")
    as_client.script_load(begin.text)
    names = [keys.presence(name) for name in "abcd"]
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_client.execute_command(*begin.call(names, ["x", "me", 1, 1]))
    for attempt in (("SET", keys.nodes(), "x"), ("GET", keys.claimed("n")), ("DEL", keys.nodes())):
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_client.execute_command(*attempt)
