"""SIGTERM during load: what has started ends, what has not stays in the list, nothing is lost."""

from __future__ import annotations

from functools import partial

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire


def test_stopped_and_started_many_times_each_command_runs_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """However often the agent is told to stop under load, no command is lost or run twice."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "40"})
    jobs = [wire.script(diary.script()) for _ in range(1500)]
    for stop in range(1, 7):
        eventually(partial(diary.has, 150 * stop), "some of the commands ran")
        assert node.stop() == 0, node.log_tail()
        assert wire.claimed() == {}
        started = diary.runs()
        assert max(started.values()) == 1
        waiting = [command["id"] for command in wire.waiting()]
        assert sorted([*started, *waiting]) == jobs
        assert waiting == sorted(waiting)
        node.start()
    results = wire.results(jobs)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert set(diary.runs().values()) == {1}
