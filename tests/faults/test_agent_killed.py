"""An agent is killed: what becomes of what it had claimed."""

from __future__ import annotations

import signal

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire


def test_all_that_ran_is_lost_once_for_each_even_if_it_had_streamed(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """A streaming job with output in its log does not cost other jobs their LOST results."""
    node = run_node("n1", url=own_redis.url)
    jobs = [
        wire.script(diary.script("echo one; echo two >&2; echo three; sleep 3"), stream=True),
        *(wire.script(diary.script("sleep 3")) for _ in range(5)),
    ]
    eventually(lambda: len(diary.lines()) == 6 and len(wire.log(jobs[0])) >= 2)
    node.kill()
    node.start()
    results = wire.results(jobs)
    assert {result["state"] for result in results.values()} == {"LOST"}
    messages = wire.log(jobs[0])
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    assert [bool(message["flags"] & 6) for message in messages] == [False] * (len(messages) - 1) + [
        True
    ]
    wire.wait_unclaimed()


def test_a_result_that_was_read_and_removed_is_not_written_again(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """The agent dies before it forgets the command: it does not run again, whatever it says."""
    doomed = run_node("n1", url=own_redis.url, env={"COREX_FAULT": "finished"})
    job = wire.script(diary.script(), on_lost="retry", reply_to="me")
    assert doomed.wait() == -signal.SIGKILL
    assert job.encode() in wire.claimed()
    assert wire.redis.delete(wire.keys.result(job)) == 1
    run_node("n1", url=own_redis.url)
    wire.wait_unclaimed()
    assert wire.results([again := wire.push("core.ping")])[again]["state"] == "SUCCESS"
    assert diary.lines() == [job]
    assert not wire.redis.exists(wire.keys.result(job))
    assert len(wire.inbox("me")) == 1
