"""A process manager with real processes and no Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.limits import Limits
from corex_node.manager.restarts import Backoff
from tests.unit.node.manager.bench import Bench


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A manager; `parametrize("bench", [Limits(…)], indirect=True)` gives it other limits."""
    quick = Backoff(first=0.01, jitter=0)
    limits = getattr(request, "param", None) or Limits(backoff=quick, linger=0.3)
    made = Bench(standard_registry(), limits)
    made.start()
    # The spawners are up: times of the tests are not theirs.
    await made.all_results([made.program("true"), made.program("true")])
    made.results.clear()
    yield made
    await made.close()
