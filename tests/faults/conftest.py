"""Fixtures of the tests that kill, cut and restart: each has a Redis of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.diary import Diary
from tests.helpers.wire import Wire

_SECONDS = 150
"""For a test, which starts agents again and again: on a busy machine each takes ten seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than others have."""
    for item in items:
        ours = item.path.is_relative_to(Path(__file__).parent)
        if ours and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture
def wire(own_redis: EmbeddedRedis, keys: Keys) -> Iterator[Wire]:
    """The plain way to node n1 by a server of this test alone."""
    with redis.Redis.from_url(own_redis.url) as client:
        yield Wire(client, keys, "n1")


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """Where commands note that they ran."""
    return Diary(tmp_path / "diary")
