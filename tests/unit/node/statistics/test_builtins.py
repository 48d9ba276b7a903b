"""`aggregator.query`, `monitor` and `core.state`, run by a manager."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from corex_node.builtins import standard_registry
from corex_node.builtins import statistics as builtins
from corex_node.clock import ServerClock
from corex_node.manager.limits import Limits
from corex_node.statistics.job_sampler import JobSampler
from corex_node.statistics.monitors import Monitors
from corex_node.statistics.statistics import Statistics
from tests.helpers.eventually import eventually_async
from tests.unit.node.manager.bench import Bench


@pytest.fixture
def statistics() -> Statistics:
    """Nothing recorded."""
    return Statistics(ServerClock())


@pytest.fixture
async def bench(statistics: Statistics) -> AsyncIterator[Bench]:
    """A manager with these commands, whose jobs' samples are recorded."""
    registry = standard_registry()
    builtins.register(registry, statistics, Monitors())
    made = Bench(registry, Limits(linger=0.3))
    made.manager.output.statistics = statistics
    made.start()
    yield made
    await made.close()


async def _answer(bench: Bench, command: str, arguments: dict[str, Any] | None = None) -> Any:
    result = await bench.result(bench.push(command, arguments))
    assert result.ok, result
    return json.loads(result.data)


async def _refusal(bench: Bench, command: str, arguments: Any) -> tuple[int, str]:
    result = await bench.result(bench.push(command, arguments))
    return result.code, json.loads(result.data)


async def test_a_query(bench: Bench, statistics: Statistics) -> None:
    """By key and tags; null and empty mean all."""
    statistics.record("m:1|A|id=x,zone=eu\nm:3|A|id=x,zone=eu\nn:7|D")
    answer = await _answer(bench, "aggregator.query", {"key": "m", "tags": {"zone": "eu"}})
    assert list(answer) == ["m/x"]
    assert answer["m/x"]["current"]["300"]["avg"] == 2.0
    for arguments in (None, {}, {"key": None, "tags": None}, {"key": "", "tags": {}}):
        assert set(await _answer(bench, "aggregator.query", arguments)) == {"m/x", "n"}
    assert await _answer(bench, "aggregator.query", {"key": "o"}) == {}


async def test_a_wrong_argument_is_named(bench: Bench) -> None:
    """It is a 400."""
    for command, arguments, at_fault in [
        ("aggregator.query", {"key": 1}, "key"),
        ("aggregator.query", {"tags": ["a"]}, "tags"),
        ("aggregator.query", {"tags": {"a": 1}}, "tags"),
        ("aggregator.query", {"more": 1}, "more"),
        ("monitor", {}, "domain"),
        ("monitor", {"domain": None}, "domain"),
        ("monitor", {"domain": "weather"}, "domain: weather"),
        ("core.state", {"id": "x"}, "id"),
    ]:
        code, text = await _refusal(bench, command, arguments)
        assert code == 400
        assert text.startswith(at_fault)


async def test_an_unknown_domain_is_told_what_there_is(bench: Bench) -> None:
    """All four."""
    _, text = await _refusal(bench, "monitor", {"domain": "weather"})
    assert text == "domain: weather: one of cpu, disk, memory, network expected"


async def test_a_monitor_feeds_the_statistics(bench: Bench) -> None:
    """Its answer is null; what it measured is asked for by query. Case is nothing."""
    for domain, key in [
        ("cpu", "machine.CPU.utilisation/0"),
        ("memory", "machine.memory.ram.available"),
        ("Network", "network.packets.rx/lo"),
        ("DISK", None),
    ]:
        assert await _answer(bench, "monitor", {"domain": domain}) is None
        answer = await _answer(bench, "aggregator.query", {"tags": {"type": "phys"}})
        if key is not None:
            assert {"key": "type", "value": "phys"} in answer[key]["tags"]


async def test_what_a_program_says_on_level_10_is_recorded(bench: Bench) -> None:
    """Line by line, or as a block; wrong ones are nobody's fault but its own."""
    script = "echo '10::m:4|A|id=x'; echo '10::oops'; printf '10:::\\nm:6|A|id=x\\nn:1|A\\n:::\\n'"
    result = await bench.result(bench.script(script))
    assert result.ok
    answer = await _answer(bench, "aggregator.query")
    assert set(answer) == {"m/x", "n"}
    assert answer["m/x"]["current"]["3600"]["total"] == 10.0


async def test_jobs_that_ask_for_it_are_sampled(bench: Bench, statistics: Statistics) -> None:
    """The whole tree of each, while it runs."""
    job = bench.script("sleep 30 & echo; wait", stats_interval=0.1)
    other = bench.script("echo; sleep 30")
    await bench.ready(job)
    await bench.ready(other)
    sampler = JobSampler(bench.manager, bench.manager.output.say)
    running = asyncio.create_task(sampler.run())
    await eventually_async(lambda: len(statistics) > 0)
    answer = await statistics.query()
    assert set(answer) == {f"job.{name}/{job.id}" for name in ("cpu", "rss", "vms", "swap")}
    alone = psutil.Process(job.pid).memory_info().vms
    assert answer[f"job.vms/{job.id}"]["last_value"] > alone
    bench.manager.kill(job.id)
    bench.manager.kill(other.id)
    await bench.all_results([job, other])
    running.cancel()
    await asyncio.wait([running])


async def test_the_state_is_of_the_agent_and_all_it_runs(bench: Bench) -> None:
    """A job's memory is in it while the job runs."""
    before = await _answer(bench, "core.state")
    assert set(before) == {"cpu", "rss", "vms", "swap"}
    assert before["rss"] > psutil.Process().memory_info().rss
    code = "import time; x = b'x' * 60_000_000; print(1, flush=True); time.sleep(60)"
    job = bench.program(sys.executable, "-c", code)
    await bench.ready(job)
    during = await _answer(bench, "core.state")
    assert 60_000_000 < during["rss"] - before["rss"] < 110_000_000
    bench.manager.kill(job.id, 9)
    await bench.result(job)
    after = await _answer(bench, "core.state")
    assert after["rss"] < during["rss"] - 50_000_000
