"""A second agent of one node, while the first lives and after it died."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Wire

SHORT = {"COREX_NODE_LIMITS_LEASE": "2", "COREX_NODE_LIMITS_HEARTBEAT": "0.5"}


@pytest.fixture
def second(own_redis: EmbeddedRedis, namespace: str, tmp_path: Path) -> NodeProcess:
    """Another agent of node n1, not started."""
    return NodeProcess("n1", own_redis.url, namespace, tmp_path / "second.log", env=SHORT)


def test_it_refuses_while_the_first_lives(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, second: NodeProcess
) -> None:
    """It ends with 1, says who serves the node, and does the first no harm."""
    first = run_node("n1", url=own_redis.url, env=SHORT)
    running = wire.script("sleep 2; echo out")
    wire.wait_stage(running, "running")
    second.start(wait=False)
    assert second.wait() == 1
    said = second.log_text()
    assert "node n1 is served by another agent" in said
    assert first.process is not None
    assert re.search(rf"process {first.process.pid} on \S+ \([0-9.]+\), started \d+ s ago", said)
    assert "Traceback" not in said
    assert wire.result(running)["streams"][0] == "out\n"
    assert first.running
    assert wire.presence()["pid"] == str(first.process.pid)


def test_a_dead_predecessors_lease_is_taken_at_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """An agent that was killed on this machine is not waited for, however long its lease."""
    long = {"COREX_NODE_LIMITS_LEASE": "600"}
    node = run_node("n1", url=own_redis.url, env=long)
    before = wire.presence()["incarnation"]
    node.kill()
    assert wire.redis.ttl(wire.keys.presence("n1")) > 500
    begun = time.monotonic()
    node.start()
    assert time.monotonic() - begun < 60  # a tenth of the lease
    assert wire.presence()["incarnation"] != before
    assert wire.result(wire.push("core.ping"))["state"] == "SUCCESS"


def test_agents_of_two_nodes_do_not_meddle(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Each serves its own lists."""
    for node in ("n1", "n2"):
        run_node(node, url=own_redis.url)
    jobs = [wire.push("core.ping", node=node) for node in ("n1", "n2", "n1", "n2")]
    results = wire.results(jobs)
    assert [results[job]["node"] for job in jobs] == ["n1", "n2", "n1", "n2"]
