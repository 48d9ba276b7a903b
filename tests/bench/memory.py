"""Memory of the agent: resident size when idle, and what each of 1,000 sleeping jobs adds.

Set against what is allowed, so that both ratios should be at most 1. The agent has small
processes beside it that start programs. What it takes when idle is shown twice: the resident
size of the agent itself, and the proportional size of all of them, in which a page that several
share counts once. What a job adds is counted in all of them; the job's own process is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from corex import Client, Command
from tests.bench.bench_node import NAMESPACE, NODE, bench_node
from tests.bench.pairs import Row, Target
from tests.helpers.eventually import eventually

JOBS = 1_000
ALLOWED_IDLE_MB = 45.0
ALLOWED_JOB_KB = 16.0
_SETTINGS = {
    "COREX_NODE_MAX_JOBS": str(JOBS + 1),
    "COREX_NODE_LIMITS_DRAIN": "0",
}
_MOST_ROUNDS = 3
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What was measured of one agent: MB when idle, KB for each job."""

    resident: float
    proportional: float
    each_job: float


def measure(pairs: int) -> list[Row]:
    """Measure the figures, with a new agent for each pair."""
    measured = [_measure_once() for _ in range(min(pairs, _MOST_ROUNDS))]
    return [
        _row("memory, agent RSS", "MB", [sizes.resident for sizes in measured], ALLOWED_IDLE_MB),
        _row("memory, all PSS", "MB", [sizes.proportional for sizes in measured], ALLOWED_IDLE_MB),
        _row("memory, each job", "KB", [sizes.each_job for sizes in measured], ALLOWED_JOB_KB),
    ]


def _row(figure: str, unit: str, values: Sequence[float], allowed: float) -> Row:
    bounds = [allowed] * len(values)
    return Row(figure, unit, "agent", "allowed", values, bounds, Target("<=", 1))


def _measure_once() -> _Sizes:
    with bench_node(_SETTINGS) as bench, Client(bench.server.url, namespace=NAMESPACE) as client:
        node = client.node(NODE)
        node.system("true").wait(_PATIENCE).check()  # all that it needs is loaded now
        agent = psutil.Process(node.presence().pid)
        processes = [agent, *agent.children(recursive=True)]
        resident = agent.memory_info().rss
        proportional = sum(process.memory_full_info().pss for process in processes)
        idle = _resident(processes)
        sleep = Command("core.system", {"name": "sleep", "args": ["600"]})
        node.submit_many([sleep] * JOBS)
        wanted = len(processes) - 1 + JOBS
        eventually(
            lambda: len(agent.children(recursive=True)) == wanted, "all sleep", seconds=_PATIENCE
        )
        # … and all that was to be written of them is written.
        eventually(
            lambda: node.presence().running == JOBS, "its heartbeat says so", seconds=_PATIENCE
        )
        each_job = (_resident(processes) - idle) / JOBS
        return _Sizes(resident / 1e6, proportional / 1e6, each_job / 1e3)


def _resident(processes: Sequence[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)
