"""Statistics over the plain wire: what jobs say, what is measured, what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire


def _answer(wire: Wire, command: str, arguments: dict[str, Any] | None = None) -> Any:
    result = wire.result(wire.push(command, arguments, control=True))
    assert result["state"] == "SUCCESS", result
    assert result["level"] == 20
    return json.loads(result["data"])


def _query(wire: Wire, key: str | None = None, **tags: str) -> dict[str, Any]:
    found = _answer(wire, "aggregator.query", {"key": key, "tags": tags})
    assert isinstance(found, dict)
    return found


def test_samples_of_jobs_are_aggregated(wire: Wire) -> None:
    """Of all jobs together, by key, instance and tags, in the shape of 0-core."""
    key = f"web.latency-{wire.new_id()}"
    for value in (10, 30):
        job = wire.script(f"echo '10::{key}:{value}|A|id=a,zone=eu'")
        assert wire.result(job)["state"] == "SUCCESS"
    assert wire.result(wire.script(f"echo '10::{key}:7|A'"))["state"] == "SUCCESS"
    found = _query(wire, key)
    assert set(found) == {key, f"{key}/a"}
    metric = found[f"{key}/a"]
    assert (metric["op"], metric["last_value"]) == ("A", 30.0)
    assert abs(metric["last_time"] - wire.redis.time()[0]) < 30
    assert metric["tags"] == [{"key": "id", "value": "a"}, {"key": "zone", "value": "eu"}]
    for length in ("300", "3600"):
        windows = [metric["current"][length], *metric["history"][length]]  # an hour may end now
        assert sum(window["count"] for window in windows) == 2
        assert max(window["max"] for window in windows) == 30.0
        assert all(window["start"] % int(length) == 0 for window in windows)
    assert set(_query(wire, key, zone="eu")) == {f"{key}/a"}
    assert _query(wire, key, zone="us") == {}


def test_a_block_of_samples_with_wrong_ones_among_them(wire: Wire) -> None:
    """Each line by itself; a wrong one takes nothing from the job or the others."""
    key = f"k-{wire.new_id()}"
    lines = f"{key}:1|A\\n{key}:nan|A\\n{key}\\n\\n{key}:2|X\\n{key}:3|A\\n"
    result = wire.result(wire.script(f"printf '10:::\\n{lines}:::\\n'; echo after"))
    assert (result["state"], result["streams"][0]) == ("SUCCESS", "after\n")
    assert _query(wire, key)[key]["last_value"] == 3.0


def test_many_samples_of_one_job_are_all_counted(wire: Wire) -> None:
    """None is dropped on its way, and the node answers."""
    key = f"many-{wire.new_id()}"
    job = wire.script(f"seq 20000 | sed 's/.*/10::{key}:&|A/'")
    assert wire.result(job)["state"] == "SUCCESS"
    found = _query(wire, key)[key]
    windows = [found["current"]["3600"], *found["history"]["3600"]]
    assert sum(window["count"] for window in windows) == 20_000
    assert max(window["max"] for window in windows) == 20_000.0


@pytest.mark.parametrize("domain", ["cpu", "memory", "disk", "network"])
def test_a_monitor_answers_null(wire: Wire, domain: str) -> None:
    """What it measured is in the statistics."""
    assert _answer(wire, "monitor", {"domain": domain}) is None


def test_monitors_feed_the_statistics(wire: Wire) -> None:
    """Values at once, counters by their difference from the second time on."""
    for domain in ("memory", "network"):
        _answer(wire, "monitor", {"domain": domain})
    memory = _query(wire, "machine.memory.ram.available")["machine.memory.ram.available"]
    assert memory["op"] == "A"
    assert memory["last_value"] > 1
    _answer(wire, "monitor", {"domain": "network"})
    packets = _query(wire, "network.packets.rx", id="lo")["network.packets.rx/lo"]
    assert packets["op"] == "D"
    windows = [packets["current"]["300"], *packets["history"]["300"]]
    assert sum(window["count"] for window in windows) >= 1
    assert all(window["max"] >= 0 for window in windows)


@pytest.mark.parametrize(
    "command, arguments, at_fault",
    [
        ("monitor", {"domain": "weather"}, "domain: weather: one of cpu, disk, memory, network"),
        ("monitor", {}, "domain: "),
        ("aggregator.query", {"tags": "x"}, "tags: "),
        ("aggregator.query", {"keys": "x"}, "keys: "),
        ("core.state", {"id": "x"}, "id: "),
    ],
)
def test_a_wrong_argument_is_named(
    wire: Wire, command: str, arguments: dict[str, Any], at_fault: str
) -> None:
    """It is a 400."""
    result = wire.result(wire.push(command, arguments, control=True))
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith(at_fault)


def test_a_job_is_sampled_while_it_runs(wire: Wire) -> None:
    """It is told in the job's own log and in the statistics; without an interval it is not."""
    job = wire.script("sleep 60 & echo; wait", stats_interval=0.2, stream=True)
    silent = wire.script("sleep 60", stream=True)

    def samples() -> list[str]:
        return [message["message"] for message in wire.log(job) if message["level"] == 10]

    first = eventually(samples, "samples of the job")[0].split("\n")
    figures = dict(line.split(":", 1) for line in first)
    assert list(figures) == ["job.cpu", "job.rss", "job.vms", "job.swap"]
    assert figures["job.rss"].endswith(f"|A|id={job}")
    assert float(figures["job.rss"].partition("|")[0]) > 0
    found = _query(wire, None, id=job)
    assert set(found) == {f"job.{name}/{job}" for name in ("cpu", "rss", "vms", "swap")}
    assert found[f"job.rss/{job}"]["last_value"] > 0
    assert _query(wire, None, id=silent) == {}
    for each in (job, silent):
        assert _answer(wire, "job.kill", {"id": each, "signal": 9}) is True
    wire.results([job, silent])


def test_the_state_of_the_node(wire: Wire) -> None:
    """The agent, its helpers and all jobs, together."""
    before = _answer(wire, "core.state")
    assert set(before) == {"cpu", "rss", "vms", "swap"}
    assert before["cpu"] >= 0
    assert 20_000_000 < before["rss"] < before["vms"]
    code = "import time; x = b'x' * 80_000_000; print(1, flush=True); time.sleep(60)"
    job = wire.script(f'python3 -c "{code}"', stream=True)
    eventually(lambda: wire.log(job), "the job holds its memory")
    during = _answer(wire, "core.state")
    assert during["rss"] - before["rss"] > 70_000_000
    assert _answer(wire, "job.kill", {"id": job, "signal": 9}) is True
    wire.result(job)
    assert _answer(wire, "core.state")["rss"] < during["rss"] - 70_000_000


def test_keys_without_end_take_bounded_memory(
    run_node: RunNode, raw: redis.Redis, keys: Keys
) -> None:
    """A job that makes up keys fills its share; metrics that were there go on."""
    run_node("n1", env={"COREX_NODE_LIMITS_SERIES": "50"})
    wire = Wire(raw, keys, "n1")
    wire.result(wire.script("echo '10::mine:1|A'"))
    wire.result(wire.script("seq 5000 | sed 's/.*/10::made-up-&:1|A/'"))
    wire.result(wire.script("echo '10::mine:2|A'"))
    found = _query(wire)
    assert len(found) == 50
    assert found["mine"]["last_value"] == 2.0
