"""`corex doctor` against servers that are set wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from corex import AsyncClient, Client
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.conftest import RunNode
from tests.helpers.eventually import eventually
from tests.helpers.nodes import COREX
from tests.integration.client.hand import HandNode, meanwhile


def _doctor(url: str, *options: str, namespace: str = "corex") -> tuple[int, dict[str, Any]]:
    """Run it; return its exit code and its findings by check."""
    done = subprocess.run(
        [COREX, "--url", url, "--namespace", namespace, "doctor", "--json", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    found = json.loads(done.stdout)["findings"]
    return done.returncode, {finding["check"]: finding for finding in found}


def _as(url: str, user: str) -> str:
    return url.replace("//", f"//{user}@")


def _verdicts(found: Mapping[str, Any], *checks: str) -> list[str]:
    return [found[check]["verdict"] for check in checks]


def test_a_good_server_and_node(own_redis: EmbeddedRedis, run_node: RunNode) -> None:
    """Nothing is a problem: 0; one line for each check."""
    node = run_node(url=own_redis.url, env={"COREX_NODE_NAMESPACE": "corex"}, start=False)
    node.namespace = "corex"
    node.start()
    with Client(own_redis.url) as cx:
        assert cx.node(node.id).bash("echo x", stream=True).wait(timeout=10).ok
    code, found = _doctor(own_redis.url)
    assert {finding["verdict"] for finding in found.values()} == {"ok"}, found
    assert code == 0
    assert "1 nodes answered" in found["answers"]["text"]
    done = subprocess.run(
        [COREX, "--url", own_redis.url, "doctor"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(found)
    assert all(line.startswith("ok       ") for line in lines)


def test_a_server_that_forgets() -> None:
    """Eviction is a problem, no persistence a warning, each with what to change."""
    settings = {"maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"}
    with EmbeddedRedis(settings=settings) as server:
        code, found = _doctor(server.url)
        with redis.Redis.from_url(server.url) as plain:
            plain.config_set("maxmemory-policy", "noeviction")
        mended, after = _doctor(server.url)
    assert code == 1
    assert _verdicts(found, "eviction", "persistence", "nodes") == ["problem", "warning", "warning"]
    assert "maxmemory-policy noeviction" in found["eviction"]["advice"]
    assert "appendonly yes" in found["persistence"]["advice"]
    assert (mended, after["eviction"]["verdict"]) == (0, "ok")


def test_a_replica(own_redis: EmbeddedRedis) -> None:
    """It takes no writes; the master is named."""
    with EmbeddedRedis(settings={"replicaof": f"127.0.0.1 {own_redis.port}"}) as replica:
        code, found = _doctor(replica.url)
    assert code == 1
    assert found["role"]["verdict"] == "problem"
    assert f"127.0.0.1:{own_redis.port}" in found["role"]["advice"]


def test_users_who_may_do_less(tmp_path: Path) -> None:
    """What is refused is named; where CONFIG is, what it would tell is unknown; nothing fails."""
    users = tmp_path / "users.acl"
    users.write_text(
        "user default on nopass ~* &* +@all\n"
        "user few on >pw ~corex:* &* +@all -config -rpush -blmove\n"
        "user keys on >pw ~other:* &other:* +@all\n"
        "user old on >pw ~corex:* &* +@all -acl -config -lpos\n"
        "user none on >pw ~corex:* &* +ping\n"
    )
    with EmbeddedRedis(settings={"aclfile": str(users)}) as server:
        few, keys, old, none = (
            _doctor(_as(server.url, f"{user}:pw")) for user in ("few", "keys", "old", "none")
        )
        before = redis.Redis.from_url(server.url)
        assert before.dbsize() == 0  # nothing is left of what was tried
        before.close()
    code, found = few
    assert code == 1
    assert found["client permissions"]["text"] == (
        "user few may not: RPUSH (command), BLMOVE (command)"
    )
    assert _verdicts(found, "client permissions", "node permissions") == ["problem", "warning"]
    assert _verdicts(found, "subscribers", "replicas") == ["unknown", "unknown"]
    assert "unknown: CONFIG is not permitted" in found["subscribers"]["text"]
    assert "BLMOVE" in found["node permissions"]["text"]
    code, found = keys
    assert (code, found["client permissions"]["verdict"]) == (1, "problem")
    assert "(key)" in found["client permissions"]["text"]
    code, found = old
    assert code == 1
    assert found["client permissions"]["text"] == "this user may not: LPOS (command)"
    assert found["node permissions"]["verdict"] == "unknown"
    code, found = none
    assert code == 1
    assert _verdicts(found, "reachable", "server", "clock") == ["ok", "unknown", "unknown"]


def test_no_server_and_wrong_passwords(own_redis: EmbeddedRedis) -> None:
    """Where nothing answers it is 3; a wrong password is a problem that is named."""
    own_redis.stop(keep_data=True)
    code, found = _doctor(own_redis.url)
    assert (code, found["reachable"]["verdict"]) == (3, "problem")
    assert "start the server" in found["reachable"]["advice"]
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as plain:
        plain.config_set("requirepass", "secret")
        for url in (own_redis.url, _as(own_redis.url, ":wrong")):
            code, found = _doctor(url)
            assert (code, found["reachable"]["verdict"]) == (1, "problem")
            assert "password" in found["reachable"]["advice"]
        assert _doctor(_as(own_redis.url, ":secret"))[0] == 0


@pytest.fixture
def empty(own_redis: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A server on which nothing else is: of a large one `corex doctor` looks at a sample."""
    with redis.Redis.from_url(own_redis.url) as client:
        yield client


def test_nodes_that_are_ill(
    own_redis: EmbeddedRedis, namespace: str, keys: Keys, run_node: RunNode, empty: redis.Redis
) -> None:
    """A node that hangs is a problem; one that is gone, and what is left of it, are warnings."""
    redis_url, raw = own_redis.url, empty
    hung, gone = run_node("hung", url=redis_url), run_node("gone", url=redis_url)
    gone.stop()
    raw.rpush(keys.commands("gone"), b'{"id": "a", "command": "core.ping"}')
    raw.hset(keys.claimed("gone"), "b", b"running gone/1\n{}")
    raw.lpush(keys.rejected("hung"), b"{}", b"{}")
    raw.rpush(keys.result("c"), b"{}")
    agent = psutil.Process(hung.process.pid)
    family = [agent, *agent.children(recursive=True)]
    for member in family:
        member.suspend()
    # The agent had asked for the next command already: it gets this one, stopped or not.
    raw.rpush(keys.control("hung"), b'{"id": "d", "command": "core.ping"}')
    eventually(lambda: not raw.llen(keys.control("hung")))
    try:
        code, found = _doctor(redis_url, "--timeout", "1", namespace=namespace)
        assert raw.llen(keys.control("hung")) == 0  # what was not answered is taken back
    finally:
        for member in reversed(family):
            member.resume()
    assert code == 1
    assert found["answers"]["verdict"] == "problem"
    assert "hung" in found["answers"]["text"]
    named = {"nodes": "gone", "backlog": "gone (1)", "claimed": "gone (1)", "rejected": "hung (2)"}
    for check, text in {**named, "lifetimes": keys.result("c")}.items():
        assert found[check]["verdict"] == "warning", found[check]
        assert text in found[check]["text"]


def test_a_node_whose_clock_is_wrong(
    redis_url: str, namespace: str, keys: Keys, raw: redis.Redis
) -> None:
    """A node says when it began to answer, by its own clock."""
    hand = HandNode(raw, keys)
    hand.announce()
    raw.pexpire(keys.presence("h1"), 60_000)

    def node() -> None:
        hand.finish(hand.take(control=True, seconds=20), starttime=1_000_000)

    with meanwhile(node):
        _, found = _doctor(redis_url, namespace=namespace)
    assert found["node clocks"]["verdict"] == "warning"
    assert found["answers"]["verdict"] == "ok"


async def test_programs_may_ask_too(redis_url: str, namespace: str) -> None:
    """Both clients have it, and what they find is the same as on the command line."""
    with Client(redis_url, namespace=namespace) as cx:
        diagnosis = cx.doctor()
    async with AsyncClient(redis_url, namespace=namespace) as acx:
        same = await acx.doctor(timeout=1)
    assert diagnosis.answered
    assert diagnosis.healthy
    assert [finding.check for finding in diagnosis.findings] == [
        finding.check for finding in same.findings
    ]
