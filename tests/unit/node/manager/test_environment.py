"""What of the agent's own settings its programs may see: nothing."""

from __future__ import annotations

import pytest

from corex_node.builtins import standard_registry
from corex_node.manager.limits import Limits
from tests.unit.node.manager.bench import Bench


async def test_the_agents_variables_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis's address and password stay with the agent."""
    monkeypatch.setenv("COREX_URL", "redis://:secret@host/0")
    monkeypatch.setenv("COREX_NODE_MAX_JOBS", "7")
    monkeypatch.setenv("NOT_COREX", "seen")
    bench = Bench(standard_registry(), Limits())
    bench.start()
    try:
        for directory in (None, "/"):
            seen = (await bench.result(bench.program("env", dir=directory))).stdout
            names = {line.partition("=")[0] for line in seen.splitlines()}
            assert {name for name in names if name.startswith("COREX_")} == {
                "COREX_JOB_ID",
                "COREX_JOB_NODE",
            }
            assert "NOT_COREX" in names
            assert "secret" not in seen
    finally:
        await bench.close()
