"""Fixtures of the node's integration tests: one agent for all tests that need no settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Wire


@pytest.fixture(scope="session")
def shared_node(
    redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """One agent that must outlive whatever the tests push to it."""
    log = tmp_path_factory.mktemp("node") / "node.log"
    node = NodeProcess("n1", redis_server.url, f"shared-{uuid.uuid4().hex[:12]}", log)
    node.start()
    yield node
    node.finish()


@pytest.fixture
def wire(shared_node: NodeProcess, raw: redis.Redis) -> Iterator[Wire]:
    """The plain way to the shared agent, which answers after the test as it did before."""
    wire = Wire(raw, Keys(shared_node.namespace), shared_node.id)
    yield wire
    assert shared_node.running, shared_node.log_tail()
    ping = wire.push("core.ping")
    assert wire.result(ping)["state"] == "SUCCESS"
    wire.wait_unclaimed()


@pytest.fixture
def own_wire(run_node: RunNode, raw: redis.Redis, keys: Keys) -> Iterator[Wire]:
    """The plain way to an agent of this test alone, without settings."""
    node = run_node("n1")
    wire = Wire(raw, keys, "n1")
    yield wire
    assert node.running, node.log_tail()
    ping = wire.push("core.ping")
    assert wire.result(ping)["state"] == "SUCCESS"
    wire.wait_unclaimed()
