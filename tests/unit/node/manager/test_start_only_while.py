"""While it is not certain whose the node is, jobs of callers are held up; those of code are not."""

from __future__ import annotations

import asyncio

from corex_shared.models import Command
from tests.unit.node.manager.bench import Bench


async def test_jobs_of_callers_start_when_the_node_is_certain_to_be_ours(bench: Bench) -> None:
    ours = asyncio.Event()
    bench.manager.start_only_while(ours.is_set)
    callers = bench.script("true")
    of_code = bench.manager.start(Command("bash", {"script": "true"}))
    assert (await of_code.wait()).ok
    assert callers.attempts == 0
    assert callers.id in bench.manager.jobs
    ours.set()
    async with asyncio.timeout(5):
        while callers.id in bench.manager.jobs:
            await bench.manager.change()
    assert callers.attempts == 1


async def test_one_that_is_killed_meanwhile_never_starts(bench: Bench) -> None:
    bench.manager.start_only_while(lambda: False)
    job = bench.script("true")
    bench.manager.kill(job.id)
    assert job.id not in bench.manager.jobs
    assert (job.attempts, job.result is not None and job.result.state) == (0, "KILLED")
