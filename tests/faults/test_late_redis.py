"""Redis comes later than the agent, which says so and waits."""

from __future__ import annotations

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire


def test_started_before_redis(own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire) -> None:
    """The agent says that it cannot reach Redis, tries again, and serves when it is there."""
    own_redis.stop(keep_data=True)
    node = run_node("n1", url=own_redis.url, start=False)
    node.start(wait=False)
    eventually(lambda: node.log_text().count("redis.away") >= 3, "it says so, again and again")
    assert node.running
    own_redis.start()
    node.wait_present()
    job = wire.script("echo out")
    assert wire.result(job)["streams"][0] == "out\n"


def test_told_to_stop_before_redis_is_there(own_redis: EmbeddedRedis, run_node: RunNode) -> None:
    """An agent that waits for Redis ends when it is told to, and with 0."""
    own_redis.stop(keep_data=True)
    node = run_node("n1", url=own_redis.url, start=False)
    node.start(wait=False)
    eventually(lambda: "redis.away" in node.log_text())
    assert node.stop(seconds=10) == 0, node.log_tail()


def test_what_was_pushed_before_the_agent_runs(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Commands wait in the list for an agent that is not there yet."""
    job = wire.script("echo out")
    run_node("n1", url=own_redis.url)
    assert wire.result(job)["streams"][0] == "out\n"
