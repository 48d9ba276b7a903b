"""Every scenario of the fault suite, in short; docs/faults.md tells of the long form."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS
from tests.helpers.scenario import play

SECONDS = 1.0


@pytest.mark.timeout(150)  # where something is lost, it is waited for
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_and_nothing_runs_twice(name: str, tmp_path: Path) -> None:
    seed = os.environ.get("FAULTS_SEED") or str(random.randrange(1 << 32))
    print(f"SEED={name}:{seed}")
    report = play(SCENARIOS[name], seed, tmp_path, SECONDS).check()
    print(report.jobs, dict(report.faults), report.lost)
