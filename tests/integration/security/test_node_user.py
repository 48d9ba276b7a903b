"""A node whose Redis user may do no more than serve that node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

import corex
from corex_shared.keys import Keys
from corex_shared.scripts import script
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.servers import Server
from tests.helpers.users import Users
from tests.helpers.wire import Wire
from tests.integration.security import story


@pytest.fixture
def node(guarded: Server, users: Users, run_node: RunNode) -> NodeProcess:
    """An agent with a user of its own."""
    login = users.add("node", "n1", "--group", "build")
    return run_node("n1", url=guarded.url_of(login))


@pytest.fixture
def wire(admin: redis.Redis, keys: Keys, node: NodeProcess) -> Wire:
    """The plain way to it, of somebody who may do everything."""
    return Wire(admin, keys, node.id)


def test_the_node_does_all_that_it_does(
    node: NodeProcess, wire: Wire, admin: redis.Redis, guarded: Server, users: Users, tmp_path: Path
) -> None:
    """No attempt of it is refused, in its life, when it is killed and recovers, and at its end."""
    admin.acl_log_reset()
    login = users.add("client", "c1", "--withdraw")
    with corex.Client(guarded.url_of(login), namespace=node.namespace) as client:
        story.told(node, wire, client, tmp_path)
    story.told_of_a_death(node, wire)
    assert node.stop() == 0
    assert story.refused(admin, "n1") == []
    assert story.refused(admin, "c1") == []
    assert "refused" not in node.log_text()


def foreign(keys: Keys) -> dict[str, str]:
    """Keys of another node, and what else is not a node's business."""
    return {
        "commands": keys.commands("n2"),
        "claimed": keys.claimed("n2"),
        "presence": keys.presence("n2"),
        "longer name": keys.commands("n10"),
        "other group": keys.group_commands("secret"),
        "other namespace": Keys("other").commands("n1"),
        "no key of corex": "anything",
    }


@pytest.mark.parametrize("what", list(foreign(Keys("x"))))
def test_the_node_reaches_no_foreign_key(
    guarded: Server, users: Users, keys: Keys, what: str
) -> None:
    """Neither to read nor to write, by commands or by scripts."""
    key = foreign(keys)[what]
    login = users.add("node", "n1", "--group", "build")
    with redis.Redis.from_url(guarded.url_of(login)) as node, guarded.client() as admin:
        admin.execute_command("SCRIPT", "LOAD", script("claim").text)
        claimed, presence = keys.claimed("n1"), keys.presence("n1")
        attempts: list[tuple[Any, ...]] = [
            ("LRANGE", key, 0, -1),
            ("HGET", key, "f"),
            ("HSCAN", key, 0),
            ("GET", key),
            ("RPUSH", key, "v"),
            ("HSET", key, "f", "v"),
            ("LTRIM", key, 1, 0),
            ("DEL", key),
            ("UNLINK", key),
            ("PEXPIRE", key, 1),
            ("BLMOVE", key, key, "LEFT", "LEFT", 0.1),
            ("BLMOVE", key, keys.commands("n1"), "LEFT", "LEFT", 0.1),
            script("claim").call([key, claimed, presence], ["i", 1, 1, 1, "@", 1]),
            script("claim").call([keys.commands("n1"), key, presence], ["i", 1, 1, 1, "@", 1]),
        ]
        for attempt in attempts:
            with pytest.raises(redis.exceptions.NoPermissionError):
                node.execute_command(*attempt)
        assert admin.exists(key) == 0


@pytest.mark.parametrize(
    "attempt",
    [
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "FLUSHDB",
        "ACL LIST",
        "ACL SETUSER n1 +@all",
        "ACL WHOAMI",
        "EVAL return 0",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "CLIENT LIST",
        "CLIENT KILL ID 1",
        "MONITOR",
        "SHUTDOWN NOSAVE",
        "REPLICAOF 127.0.0.1 1",
        "MODULE LIST",
        "SAVE",
        "SLOWLOG GET",
        "PSUBSCRIBE *",
        "SWAPDB 0 1",
        "MIGRATE 127.0.0.1 1 k 0 1",
    ],
)
def test_the_node_does_not_administer(guarded: Server, users: Users, attempt: str) -> None:
    """None of the commands that reach beyond single keys."""
    login = users.add("node", "n1")
    words = attempt.split()
    if words[0] == "EVAL":
        words = ["EVAL", "return 0", "0"]
    node = redis.Redis.from_url(guarded.url_of(login))
    with node, pytest.raises(redis.exceptions.NoPermissionError):
        node.execute_command(*words)  # type: ignore[no-untyped-call]


def test_the_node_speaks_for_itself_only(guarded: Server, users: Users, keys: Keys) -> None:
    """It cannot publish as another node, nor listen to jobs; it may in its own name."""
    login = users.add("node", "n1")
    with redis.Redis.from_url(guarded.url_of(login)) as node:
        for channel in (keys.node_log("n2"), "elsewhere"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                node.publish(channel, "forged")
        assert node.publish(keys.node_log("n1"), "own") == 0
        for channel in (keys.stream("j1"), keys.node_log("n1"), keys.events()):
            with pytest.raises(redis.exceptions.NoPermissionError):
                node.execute_command("SUBSCRIBE", channel)


def test_the_node_writes_inboxes_and_reads_none(guarded: Server, users: Users, keys: Keys) -> None:
    """What other clients hear is none of its business."""
    login = users.add("node", "n1")
    with redis.Redis.from_url(guarded.url_of(login)) as node:
        assert node.rpush(keys.inbox("c"), "entry") == 1
        for attempt in (("LRANGE", keys.inbox("c"), 0, -1), ("LPOP", keys.inbox("c"))):
            with pytest.raises(redis.exceptions.NoPermissionError):
                node.execute_command(*attempt)


def test_groups_of_the_node_are_allowed(guarded: Server, users: Users, keys: Keys) -> None:
    """Those that were named when the user was made."""
    login = users.add("node", "n1", "--group", "build", "--group", "test")
    with redis.Redis.from_url(guarded.url_of(login)) as node:
        for group in ("build", "test"):
            assert node.rpush(keys.group_commands(group), "c") == 1
            assert node.hset(keys.group_claimed(group), "f", "v") == 1


def test_a_reaper_reaches_all_nodes(guarded: Server, users: Users, keys: Keys) -> None:
    """Their claimed commands, to settle them; and still administers nothing."""
    login = users.add("reaper", "r1")
    with redis.Redis.from_url(guarded.url_of(login)) as reaper:
        assert reaper.hset(keys.claimed("n2"), "f", "v") == 1
        assert reaper.execute_command("HSCAN", keys.claimed("n2"), 0)
        assert reaper.zadd(keys.nodes(), {"n2": 1}) == 1
        assert reaper.zrange(keys.nodes(), 0, -1) == [b"n2"]
        assert reaper.publish(keys.node_log("n2"), "for it") == 0
        for words in (("FLUSHALL",), ("KEYS", "*"), ("GET", "anything")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                reaper.execute_command(*words)
