"""One server, a master by its Sentinels, and a Cluster: the same tests for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from corex import Client
from corex_node.process.embedded import HOST, EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.cluster import Cluster
from tests.helpers.diary import Diary
from tests.helpers.sentinel import SentinelTrio
from tests.helpers.wire import Wire


@dataclass(frozen=True, slots=True)
class Topology:
    """Some kind of Redis.

    Attributes:
        url: as node and client are given it.
        plain: a client of redis-py, for the plain wire.
    """

    url: str
    plain: Any


@pytest.fixture(scope="module")
def trio() -> Iterator[SentinelTrio]:
    """A master, two replicas and three Sentinels."""
    with SentinelTrio() as servers:
        yield servers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three masters with a replica each."""
    with Cluster() as servers:
        yield servers


@pytest.fixture(scope="module", params=["standalone", "sentinel", "cluster"])
def topology(request: pytest.FixtureRequest, redis_server: EmbeddedRedis) -> Iterator[Topology]:
    """Each kind of Redis in turn."""
    plain: redis.Redis | redis.RedisCluster
    if request.param == "standalone":
        url, plain = redis_server.url, redis.Redis.from_url(redis_server.url, socket_timeout=60)
    elif request.param == "sentinel":
        trio: SentinelTrio = request.getfixturevalue("trio")
        port = trio.master().port
        url, plain = trio.url, redis.Redis(host=HOST, port=port, socket_timeout=60)
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        url, plain = cluster.url, cluster.client()
    yield Topology(url, plain)
    plain.close()


@pytest.fixture
def by_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients hear of their own jobs by the inbox alone: keys are looked at when it is too late."""
    monkeypatch.setattr("corex.lookout.SAFETY", 600.0)


@pytest.fixture
def wire(topology: Topology, keys: Keys) -> Wire:
    """The plain way to node n1."""
    return Wire(topology.plain, keys, "n1")


@pytest.fixture
def cx(topology: Topology, namespace: str) -> Iterator[Client]:
    """A blocking client."""
    with Client(topology.url, namespace=namespace) as client:
        yield client


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Where commands note that they ran."""
    return Diary(tmp_path / "diary")
