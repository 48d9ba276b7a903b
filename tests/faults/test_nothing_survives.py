"""An agent is killed: no process of its jobs goes on."""

from __future__ import annotations

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.eventually import eventually
from tests.helpers.marked import marked_with
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire


def test_not_even_a_grandchild_of_another_session_that_ignores_term(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Whatever bears a job's mark is gone soon after the agent."""
    node = run_node("n1", url=own_redis.url)
    inner = 'trap "" TERM HUP INT; sleep 300 & wait'
    script = f"trap '' TERM HUP INT; setsid sh -c '{inner}' & sleep 300"
    jobs = [wire.script(script) for _ in range(5)]
    eventually(lambda: len(marked_with(jobs)) >= 4 * len(jobs), "all processes of the jobs")
    node.kill()
    eventually(lambda: not marked_with(jobs), "nothing of the jobs survives")


def test_a_daemon_whose_parent_has_gone(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """A process that was let go by its parent, and closed its output, is found too."""
    node = run_node("n1", url=own_redis.url)
    daemon = "(setsid sleep 300 </dev/null >/dev/null 2>&1 &)"
    job = wire.script(f"{daemon}; sleep 301")
    eventually(lambda: len(marked_with([job])) >= 3, "script, sleep and daemon")
    node.kill()
    eventually(lambda: not marked_with([job]), "nothing of the job survives")


def test_a_daemon_ends_with_its_job(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """What a job leaves behind is ended when it ends, and not counted as a survivor."""
    run_node("n1", url=own_redis.url)
    job = wire.script("(setsid sleep 300 </dev/null >/dev/null 2>&1 &); echo out")
    result = wire.result(job)
    assert (result["state"], result["survivors"]) == ("SUCCESS", 0)
    assert marked_with([job]) == []
