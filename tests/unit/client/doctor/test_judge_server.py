"""Judging servers, by table."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from corex.doctor.facts import ServerFacts
from corex.doctor.findings import Finding
from corex.doctor.judge_server import judge_server
from corex.doctor.permissions import Asking

INFO = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": "0",
    "used_memory": "1000000",
    "aof_enabled": "1",
    "connected_clients": "9",
    "maxclients": "10000",
    "connected_slaves": "0",
}
CONFIG = {
    "appendfsync": "everysec",
    "save": "",
    "min-replicas-to-write": "0",
    "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 "
    "pubsub 33554432 8388608 60",
}
GOOD = ServerFacts(
    pings=[0.001] * 50,
    info=INFO,
    config=CONFIG,
    clock_ahead=0.01,
    clock_error=0.02,
    user="default",
    refused_of_nodes={},
)


def _judge(
    info: dict[str, str] | None = None, config: dict[str, str] | None = None, **facts: Any
) -> dict[str, Finding]:
    """Judge a good server with some changes."""
    changed = {"info": {**INFO, **(info or {})}, "config": {**CONFIG, **(config or {})}, **facts}
    found = judge_server(msgspec.structs.replace(GOOD, **changed))
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


def test_a_good_server_has_nothing_to_change() -> None:
    """Everything is ok, and no advice is given."""
    for finding in _judge().values():
        assert (finding.verdict, finding.advice) == ("ok", ""), finding


@pytest.mark.parametrize(
    "check,verdict,text,info",
    [
        ("version", "problem", "Redis 6.0.20", {"redis_version": "6.0.20"}),
        ("version", "ok", "Redis 6.2.0", {"redis_version": "6.2.0"}),
        ("version", "ok", "Valkey 8.0.1", {"server_name": "valkey", "valkey_version": "8.0.1"}),
        (
            "role",
            "problem",
            "replica of a:1",
            {"role": "slave", "master_host": "a", "master_port": "1"},
        ),
        ("role", "problem", "Sentinel", {"redis_mode": "sentinel"}),
        ("eviction", "problem", "as soon as", {"maxmemory_policy": "allkeys-lru"}),
        (
            "eviction",
            "problem",
            "now and then",
            {"maxmemory_policy": "x", "maxmemory": "9"},
        ),
        ("memory", "ok", "50 %", {"maxmemory": "2000000"}),
        ("memory", "warning", "83 %", {"maxmemory": "1200000"}),
        ("memory", "problem", "97 %", {"maxmemory": "1030000"}),
        ("persistence", "warning", "none: a restart", {"aof_enabled": "0"}),
        ("disk", "problem", "append-only file", {"aof_last_write_status": "err"}),
        ("disk", "problem", "snapshot", {"rdb_last_bgsave_status": "err"}),
        ("connections", "warning", "85 of 100", {"connected_clients": "85", "maxclients": "100"}),
        ("connections", "problem", "99 of 100", {"connected_clients": "99", "maxclients": "100"}),
        ("replicas", "warning", "2, min-replicas-to-write 0", {"connected_slaves": "2"}),
        ("mode", "unknown", "CLUSTER INFO", {"redis_mode": "cluster"}),
    ],
)
def test_what_info_tells(check: str, verdict: str, text: str, info: dict[str, str]) -> None:
    """Each of these is found, and what is not ok has advice."""
    finding = _judge(info)[check]
    assert finding.verdict == verdict
    assert text in finding.text
    assert bool(finding.advice) == (verdict in ("warning", "problem"))


@pytest.mark.parametrize(
    "check,verdict,text,config",
    [
        ("persistence", "ok", "loses nothing", {"appendfsync": "always"}),
        ("persistence", "ok", "last second", {"appendfsync": "everysec"}),
        ("persistence", "warning", "30 seconds", {"appendfsync": "no"}),
        ("replicas", "problem", "every write is refused", {"min-replicas-to-write": "1"}),
        ("subscribers", "warning", "memory", {"client-output-buffer-limit": "pubsub 0 0 0"}),
        ("subscribers", "warning", "cut off", {"client-output-buffer-limit": "pubsub 0 9000 1"}),
        ("subscribers", "unknown", "not known", {"client-output-buffer-limit": ""}),
    ],
)
def test_what_config_tells(check: str, verdict: str, text: str, config: dict[str, str]) -> None:
    """The same for settings."""
    finding = _judge(config=config)[check]
    assert (finding.verdict, text in finding.text) == (verdict, True), finding


@pytest.mark.parametrize(
    "check,verdict,facts",
    [
        ("reachable", "warning", {"pings": [0.1] * 50}),
        ("reachable", "ok", {"pings": [0.001] * 49 + [3.0]}),
        ("clock", "ok", {"clock_ahead": -1.5, "clock_error": 1.0}),
        ("clock", "warning", {"clock_ahead": -1.5}),
        ("clock", "problem", {"clock_ahead": 3600.0}),
        ("clock", "unknown", {"clock_ahead": None}),
        ("client permissions", "problem", {"refused": {"RPUSH": "command"}}),
        ("node permissions", "warning", {"refused_of_nodes": {"HSET": "key"}}),
        ("node permissions", "unknown", {"refused_of_nodes": None}),
    ],
)
def test_what_else_is_looked_at(check: str, verdict: str, facts: dict[str, Any]) -> None:
    """Speed, clocks, permissions."""
    assert _judge(**facts)[check].verdict == verdict


def test_why_the_server_was_not_asked_what_a_user_may_do() -> None:
    """It has no ACL DRYRUN, or this user may not call it: these are two things."""
    for facts, text in (
        ({"asking": Asking.FORBIDDEN}, "this user is not permitted ACL DRYRUN"),
        ({"asking": Asking.MISSING}, "this server has no ACL DRYRUN"),
        (
            {"asking": Asking.FORBIDDEN, "info": {**INFO, "redis_version": "6.2.14"}},
            "this server has no ACL DRYRUN (Redis 7.0 and later have), it is 6.2.14",
        ),
        ({"asking": Asking.FORBIDDEN, "info": {}}, "this user is not permitted ACL DRYRUN"),
    ):
        judged = judge_server(msgspec.structs.replace(GOOD, refused_of_nodes=None, **facts))
        (found,) = (finding for finding in judged if finding.check == "node permissions")
        assert (found.verdict, text in found.text) == ("unknown", True), found


@pytest.mark.parametrize("state,verdict", [("ok", "ok"), ("fail", "problem")])
def test_a_cluster(state: str, verdict: str) -> None:
    """A Cluster is to be whole."""
    assert _judge({"redis_mode": "cluster"}, cluster_state=state)["mode"].verdict == verdict


def test_snapshots_lose_something() -> None:
    """Without an append-only file, what snapshots keep is told."""
    finding = _judge({"aof_enabled": "0"}, {"save": "3600 1"})["persistence"]
    assert finding.verdict == "warning"
    assert "save 3600 1" in finding.text


def test_where_config_is_not_permitted() -> None:
    """Managed servers refuse CONFIG: what it would tell is unknown, and nothing fails."""
    found = {
        finding.check: finding
        for finding in judge_server(msgspec.structs.replace(GOOD, config=None))
    }
    checks = [check for check, finding in found.items() if finding.verdict == "unknown"]
    assert checks == ["persistence", "replicas", "subscribers"]
    assert "unknown: CONFIG is not permitted" in found["subscribers"].text
    off = judge_server(
        msgspec.structs.replace(GOOD, config=None, info={**INFO, "aof_enabled": "0"})
    )
    assert [finding.verdict for finding in off if finding.check == "persistence"] == ["warning"]


def test_where_info_is_not_permitted() -> None:
    """What can be judged without it is judged."""
    found = judge_server(msgspec.structs.replace(GOOD, info={}))
    assert [finding.check for finding in found if finding.verdict == "unknown"] == ["server"]
    assert "clock" in {finding.check for finding in found}
