"""Every scenario of the fault suite, in short; docs/faults.md tells of the long form."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.scenarios import SCENARIOS
from tests.helpers.invariants import Report
from tests.helpers.scenario import play

SECONDS = 0.7
"""For which faults are made; each scenario makes one at least."""
AT_ONCE = 3
"""Scenarios that run beside each other: most of their time they wait."""

Rounds = dict[str, Future[Report]]


@pytest.fixture(scope="module")
def rounds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rounds]:
    """All scenarios that were asked for, under way."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    asked = {call.params.get("scenario") for call in calls if call is not None}
    seed = os.environ.get("FAULTS_SEED") or str(random.randrange(1 << 32))
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield {
            name: pool.submit(play, scenario, seed, tmp_path_factory.mktemp(name), SECONDS)
            for name, scenario in SCENARIOS.items()
            if name in asked
        }
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(150)  # where something is lost, it is waited for
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_is_lost_and_nothing_runs_twice(scenario: str, rounds: Rounds) -> None:
    """As the scenario's report says, which names the seed: `make faults SEED=…` plays it longer."""
    report = rounds[scenario].result()
    print(f"{scenario}:{report.seed}", report.jobs, dict(report.faults), report.lost)
    report.check()
