"""Redis goes away, or stops answering, in the middle of load, and comes back."""

from __future__ import annotations

import itertools
import time
from functools import partial

import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.connection import execute
from corex_shared.scripts import script
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.wire import Wire

JOBS = 1200


def _all_ran_once(wire: Wire, diary: Diary, jobs: list[str], seconds: float = 45) -> None:
    results = wire.results(jobs, seconds)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert set(diary.runs().values()) == {1}
    assert set(diary.lines()) == set(jobs)
    wire.wait_unclaimed()


def test_stopped_for_five_seconds_and_started_with_its_data(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """The agent goes on without a restart; each command has one result and ran once."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script()) for _ in range(JOBS)]
    eventually(lambda: len(diary.lines()) > JOBS // 4)
    own_redis.stop(keep_data=True)
    time.sleep(5)  # how long it is away is the case
    own_redis.start()
    _all_ran_once(wire, diary, jobs)
    assert node.running


def test_killed_and_started_with_its_data(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """The same holds when the server is killed, again and again."""
    run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script()) for _ in range(JOBS)]
    for part in (1, 2, 3):
        eventually(partial(diary.has, JOBS * part // 5), "some of the commands ran")
        own_redis.kill()
        own_redis.start()
    _all_ran_once(wire, diary, jobs)


def test_paused_for_some_seconds(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """A server that does not answer for a while costs nothing but the while."""
    run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script()) for _ in range(JOBS)]
    eventually(lambda: len(diary.lines()) > JOBS // 4)
    own_redis.pause()
    time.sleep(3)  # how long it is silent is the case
    own_redis.resume()
    _all_ran_once(wire, diary, jobs)


def test_paused_beyond_every_timeout(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """A server that is silent for longer than commands wait costs nothing either."""
    run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script()) for _ in range(JOBS)]
    eventually(lambda: len(diary.lines()) > JOBS // 4)
    own_redis.pause()
    time.sleep(12)  # beyond the 10 s within which a command is answered
    own_redis.resume()
    _all_ran_once(wire, diary, jobs)


def test_connections_are_killed_all_the_time(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """Whatever answers are lost, nothing is lost and nothing runs twice."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script("echo out"), stream=True) for _ in range(JOBS)]
    with redis.Redis.from_url(own_redis.url) as killer:
        for count in itertools.count():
            killer.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(0.02)  # a pace, not a hope
            if len(diary.lines()) >= JOBS or count > 1000:
                break
    _all_ran_once(wire, diary, jobs)
    assert node.running


def test_scripts_are_flushed_all_the_time(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """A server that forgets the scripts is taught them again."""
    run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script("echo out"), stream=True) for _ in range(JOBS // 2)]
    with redis.Redis.from_url(own_redis.url) as other:
        while len(diary.lines()) < len(jobs):
            other.script_flush()
            time.sleep(0.01)  # a pace, not a hope
    _all_ran_once(wire, diary, jobs)
    for job in jobs[::50]:
        assert [message["seq"] for message in wire.log(job)] == [0, 1]


def test_only_what_is_needed_is_loaded_with_the_calls_that_need_it(
    own_redis: EmbeddedRedis,
) -> None:
    """In the same round trip, and the answers are those of the calls."""
    release = script("release").call(["{n}:claimed", "{n}:presence"], ["me", "", "job", ""])
    with redis.Redis.from_url(own_redis.url) as client:
        assert execute(client, [("ECHO", "a"), release, ("ECHO", "b")]) == [b"a", -2, b"b"]
        shas = [script(name).sha for name in ("release", "claim")]
        assert client.script_exists(*shas) == [True, False]
