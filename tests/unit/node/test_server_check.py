"""Servers that may lose jobs silently."""

from __future__ import annotations

from typing import Any

import pytest

from corex_node.server_check import check_server, check_servers
from corex_shared.errors import ConfigError

GOOD = {
    "redis_version": "7.2.4",
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


@pytest.mark.parametrize("version", ["6.2.0", "6.2.14", "7.0.0", "8.0.1", "10.1", "7.2-rc1"])
def test_a_good_server(version: str) -> None:
    """There is nothing to say."""
    assert check_server({**GOOD, "redis_version": version}) == []


@pytest.mark.parametrize("version", ["6.0.16", "5.0.7", "2.8"])
def test_an_old_one(version: str) -> None:
    """It is refused with its version and the one that is needed."""
    with pytest.raises(ConfigError, match=r"6\.2 or newer") as caught:
        check_server({**GOOD, "redis_version": version})
    assert version in str(caught.value)


def test_one_that_evicts() -> None:
    """It is refused, with what to change."""
    info: dict[str, Any] = {**GOOD, "maxmemory": 1000, "maxmemory_policy": "allkeys-lru"}
    with pytest.raises(ConfigError, match="allkeys-lru") as caught:
        check_server(info)
    assert caught.value.key == "maxmemory-policy"
    assert "noeviction" in str(caught.value)


def test_one_that_would_evict() -> None:
    """Without maxmemory a policy does no harm yet: a warning."""
    warnings = check_server({**GOOD, "maxmemory_policy": "volatile-lru"})
    assert len(warnings) == 1
    assert "noeviction" in warnings[0]


def test_one_that_writes_no_log() -> None:
    """Without appendonly a restart may lose jobs: a warning."""
    warnings = check_server({**GOOD, "aof_enabled": 0})
    assert len(warnings) == 1
    assert "appendonly" in warnings[0]


def test_one_that_says_little() -> None:
    """A server that hides its settings is only as old as it says."""
    assert len(check_server({"redis_version": "7.2.4"})) == 1


def test_each_master_of_a_cluster_is_looked_at() -> None:
    """A warning is given once, with the ports of those that it is about; one may be refused."""
    off = {**GOOD, "aof_enabled": 0}
    infos = [{**GOOD, "tcp_port": 1}, {**off, "tcp_port": 2}, {**off, "tcp_port": 3}]
    (warning,) = check_servers(infos)
    assert "appendonly" in warning
    assert warning.endswith("(ports 2, 3)")
    assert check_servers([off]) == check_server(off)
    with pytest.raises(ConfigError, match=r"6\.2 or newer"):
        check_servers([GOOD, {**GOOD, "redis_version": "5.0.0"}])


def test_a_sentinel_in_place_of_a_server() -> None:
    """It is refused, with the form of URL that it needs."""
    with pytest.raises(ConfigError, match=r"redis\+sentinel://"):
        check_server({"redis_version": "7.0.0", "redis_mode": "sentinel"})
