"""Clients of the shared server, and nodes played by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import redis

from corex import AsyncClient, Client
from corex_shared.keys import Keys
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
