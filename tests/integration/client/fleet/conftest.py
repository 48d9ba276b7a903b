"""Real agents for runs, and simulated ones where many are needed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from corex import Client
from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.nodes import NodeProcess
from tests.helpers.simulated import simulated_nodes

SHORT = {
    "COREX_NODE_LIMITS_LEASE": "2",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.5",
    "COREX_NODE_LIMITS_REAP": "1",
}
"""Settings of nodes whose end is noticed soon."""


@pytest.fixture(scope="package")
def trio(
    redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[NodeProcess]]:
    """Three agents, `n1` to `n3`, that nobody harms; n1 and n2 are of the group `build`."""
    logs, namespace = tmp_path_factory.mktemp("trio"), f"trio-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        nodes = []
        for name, zone, group in (("n1", "eu", "build"), ("n2", "eu", "build"), ("n3", "us", "x")):
            args = ("--label", f"zone={zone}", "--group", group)
            node = NodeProcess(
                name, redis_server.url, namespace, logs / f"{name}.log", args, {"ME": name}
            )
            stack.callback(node.finish)
            node.start(wait=False)
            nodes.append(node)
        for node in nodes:
            node.wait_present(60)
        yield nodes


@pytest.fixture
def cx3(trio: list[NodeProcess]) -> Iterator[Client]:
    """A client of the three."""
    with Client(trio[0].url, namespace=trio[0].namespace) as client:
        yield client


@pytest.fixture(scope="package")
def many(redis_server: EmbeddedRedis) -> Iterator[Client]:
    """A client of forty simulated nodes, `s0` to `s39`."""
    namespace = f"many-{uuid.uuid4().hex[:12]}"
    with (
        simulated_nodes(redis_server.url, namespace, 40),
        Client(redis_server.url, namespace=namespace) as client,
    ):
        yield client
