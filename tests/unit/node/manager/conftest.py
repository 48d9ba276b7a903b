"""Process managers without Redis, with real processes or with fake ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.limits import Limits
from tests.unit.node.manager.bench import QUICK, Bench, QuickBench


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A manager; `parametrize("bench", [Limits(…)], indirect=True)` gives it other limits."""
    limits = getattr(request, "param", None) or Limits(backoff=QUICK, linger=0.3)
    made = Bench(standard_registry(), limits)
    made.start()
    # The spawners are up: times of the tests are not theirs.
    await made.all_results([made.program("true"), made.program("true")])
    made.results.clear()
    yield made
    await made.close()


@pytest.fixture
async def quick(request: pytest.FixtureRequest) -> AsyncIterator[QuickBench]:
    """A manager whose processes do what the test says; `parametrize` as for `bench`."""
    limits = getattr(request, "param", None) or Limits(backoff=QUICK, grace=0.01)
    made = QuickBench(standard_registry(), limits)
    made.start()
    yield made
    await made.close()
