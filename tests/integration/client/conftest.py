"""Clients of the shared server, and nodes played by hand."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from corex import AsyncClient, AsyncNode, Client, Node
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.nodes import NodeProcess
from tests.integration.client.hand import HandNode


@pytest.fixture
def cx(redis_url: str, namespace: str) -> Iterator[Client]:
    """A blocking client of this test's namespace."""
    with Client(redis_url, namespace=namespace) as client:
        yield client


@pytest_asyncio.fixture
async def acx(redis_url: str, namespace: str) -> AsyncIterator[AsyncClient]:
    """An asyncio client of this test's namespace."""
    async with AsyncClient(redis_url, namespace=namespace) as client:
        yield client


@pytest.fixture
def hand(raw: redis.Redis, keys: Keys) -> HandNode:
    """A node of this test's namespace, played by hand."""
    return HandNode(raw, keys)


@pytest.fixture
def quick_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscriptions that went dead are noticed within a few seconds."""
    monkeypatch.setattr("corex.transport.pulse.SILENCE", 0.5)
    monkeypatch.setattr("corex.transport.pulse.PATIENCE", 2.0)  # for a busy machine


@pytest.fixture(scope="session")
def live_agent(
    redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """One real agent for all tests that do it no harm."""
    log = tmp_path_factory.mktemp("live") / "node.log"
    agent = NodeProcess("n1", redis_server.url, f"live-{uuid.uuid4().hex[:12]}", log)
    agent.start()
    yield agent
    agent.finish()


@pytest.fixture
def node(live_agent: NodeProcess) -> Iterator[Node]:
    """The node of the real agent, which answers after the test as it did before."""
    with Client(live_agent.url, namespace=live_agent.namespace) as client:
        node = client.node(live_agent.id)
        yield node
        assert live_agent.running, live_agent.log_tail()
        assert "PONG" in node.ping()


@pytest_asyncio.fixture
async def anode(live_agent: NodeProcess) -> AsyncIterator[AsyncNode]:
    """The same node, in the hand of an asyncio client."""
    async with AsyncClient(live_agent.url, namespace=live_agent.namespace) as client:
        yield client.node(live_agent.id)
