"""Redis comes back without its last moments, which it had acknowledged."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest

from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.nodes import RunNode
from tests.helpers.rewind import Rewind
from tests.helpers.wire import Wire

JOBS = 600


@pytest.mark.parametrize("script", ["", "sleep 0.3"], ids=["quick", "slow"])
def test_every_command_ends_in_one_result_and_ran_once(
    own_redis: EmbeddedRedis,
    run_node: RunNode,
    wire: Wire,
    diary: Diary,
    tmp_path: Path,
    script: str,
) -> None:
    """Claims, stages and results that the server has forgotten are told again."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_MAX_JOBS": "30"})
    jobs = [wire.script(diary.script(script)) for _ in range(JOBS // (2 if script else 1))]
    for part in (1, 2):
        eventually(partial(diary.has, len(jobs) * part // 4), "some of the commands ran")
        moment = Rewind(own_redis, tmp_path / f"aof{part}")
        time.sleep(random.uniform(0.05, 0.6))  # how much is forgotten is the case
        moment.back()
    results = wire.results(jobs, 45)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert set(diary.runs().values()) == {1}
    assert set(diary.lines()) == set(jobs)
    wire.wait_unclaimed()
    assert node.running


def test_jobs_of_a_queue_keep_their_order_and_run_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary, tmp_path: Path
) -> None:
    """Those that wait for their queue are claimed anew where they were forgotten."""
    run_node("n1", url=own_redis.url)
    moment = Rewind(own_redis, tmp_path / "aof")
    jobs = [wire.script(diary.script("sleep 0.02"), queue="q") for _ in range(40)]
    eventually(partial(diary.has, 10), "some of the commands ran")
    moment.back()  # to when none of them was there: only the agent knows of those it took
    claimed = wire.redis.hlen(wire.keys.claimed("n1"))
    results = wire.results(jobs, 30)
    assert claimed <= len(jobs)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert diary.lines() == jobs
    wire.wait_unclaimed()


def _forgotten(wire: Wire, diary: Diary, work: str) -> list[str]:
    """Have the server forget all of five jobs that run; return when they are claimed again."""
    jobs = [wire.script(diary.script(work)) for _ in range(5)]
    eventually(partial(diary.has, 5), "they run")
    wire.redis.flushall()
    claimed = wire.keys.claimed("n1")
    eventually(lambda: wire.redis.hlen(claimed) == 5, "they are claimed again")
    return jobs


def test_everything_is_forgotten(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """After FLUSHALL the agent goes on: what runs ends with a result, what comes is taken."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_LIMITS_HEARTBEAT": "0.5"})
    running = _forgotten(wire, diary, "sleep 2")
    assert {wire.state(job)["stage"] for job in running} == {"running"}
    later = [wire.script(diary.script()) for _ in range(5)]
    results = wire.results([*running, *later], 20)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert set(diary.runs().values()) == {1}
    wire.wait_unclaimed()
    assert node.running


def test_forgotten_jobs_are_lost_once_when_the_agent_dies_too(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """What was claimed again is found by the next agent."""
    node = run_node("n1", url=own_redis.url, env={"COREX_NODE_LIMITS_HEARTBEAT": "0.5"})
    running = _forgotten(wire, diary, "sleep 60")
    node.kill()
    node.start()
    assert {result["state"] for result in wire.results(running).values()} == {"LOST"}
    assert set(diary.runs().values()) == {1}
    wire.wait_unclaimed()


def test_what_is_claimed_and_nobody_has_is_settled_after_the_next_break(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """An entry that came back without its job ends like what a predecessor left."""
    run_node("n1", url=own_redis.url)
    payload = wire.payload("bash", {"script": "true"}, id="ghost")
    wire.redis.hset(wire.keys.claimed("n1"), "ghost", b"running n1/1\n" + payload)
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    assert wire.result("ghost")["state"] == "LOST"
    wire.wait_unclaimed()


def test_a_second_copy_after_a_break_costs_the_first_neither_its_claim_nor_its_result(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """It is dropped, or refused if somebody else has sent it; the job is found when all dies."""
    node = run_node("n1", url=own_redis.url)
    job = wire.script("sleep 60")
    wire.wait_stage(job, "running")
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: "node.ready" in node.log_text() and wire.redis.ping(), "it is back")
    probe = wire.push("core.ping")  # answered over a connection that is there again
    assert wire.result(probe)["state"] == "SUCCESS"
    wire.script("sleep 60", id=job)
    wire.script("sleep 60", id=job, reply_to="other")
    eventually(lambda: wire.inbox("other"), "the other sender is told")
    assert [entry["state"] for entry in wire.inbox("other")] == ["DUPILICATE_ID"]
    eventually(lambda: list(wire.claimed()) == [job.encode()], "only the job is claimed")
    node.kill()
    node.start()
    assert wire.result(job)["state"] == "LOST"
    wire.wait_unclaimed()


@pytest.mark.parametrize("comes_again", [False, True], ids=["gone", "in the list"])
def test_what_was_rejected_is_in_the_list_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, tmp_path: Path, comes_again: bool
) -> None:
    """Whether the server has forgotten the payload as well, or has it as if nobody had taken it."""
    payloads = [f'{{"command": "bash", "number": {number}' for number in range(3)]  # no ID is found
    commands = wire.keys.commands("n1")
    node = run_node("n1", url=own_redis.url)
    moment = Rewind(own_redis, tmp_path / "aof")
    wire.redis.rpush(commands, *payloads)
    eventually(lambda: len(wire.rejected()) == 3, "they are rejected")
    before = wire.rejected()
    moment.back()
    if comes_again:
        wire.redis.rpush(commands, *payloads)
    assert wire.result(wire.push("core.ping"))["state"] == "SUCCESS"
    eventually(lambda: len(wire.rejected()) == 3, "they are rejected again")
    eventually(lambda: not wire.redis.exists(commands), "all was taken")
    wire.wait_unclaimed()
    came = 6 if comes_again else 3
    eventually(lambda: node.log_text().count("command.rejected") == came, "all were looked at")
    assert sorted(entry["payload"] for entry in wire.rejected()) == payloads
    assert {entry["time"] for entry in wire.rejected()} <= {entry["time"] for entry in before}


@pytest.mark.parametrize("taken_by_another", [False, True], ids=["state gone", "another's"])
def test_an_end_that_is_told_again_in_vain_has_been_delivered(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, taken_by_another: bool
) -> None:
    """Its sender, who has the result, is told nothing else, and nothing is rejected."""
    node = run_node("n1", url=own_redis.url)
    job = wire.push("core.ping", reply_to="c1")
    assert wire.result(job)["state"] == "SUCCESS"
    wire.wait_unclaimed()
    state = wire.keys.state(job)
    wire.redis.delete(state)
    if taken_by_another:  # the server has forgotten that job, and a node of its group has it now
        wire.redis.delete(wire.keys.result(job))
        wire.redis.hset(state, mapping={"claim": "n2/7", "holder": "n2", "stage": "running"})
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: "result.not_taken_again" in node.log_text(), "it is told again")
    assert wire.result(wire.push("core.ping"))["state"] == "SUCCESS"
    assert [entry["state"] for entry in wire.inbox("c1")] == ["SUCCESS"]
    assert wire.rejected() == []
    assert '"level": "error"' not in node.log_text()
    assert wire.redis.exists(wire.keys.result(job)) != taken_by_another
    wire.wait_unclaimed()


def test_a_result_that_has_expired_is_not_told_again(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Redis has not forgotten it: its time was over."""
    run_node("n1", url=own_redis.url, env={"COREX_NODE_LIMITS_RETENTION": "0.2"})
    job = wire.push("core.ping", reply_to="c1")
    eventually(lambda: wire.inbox("c1"), "its end is told")
    eventually(lambda: not wire.redis.exists(wire.keys.state(job)), "it has expired")
    wire.redis.client_kill_filter(_type="normal", skipme=True)
    probe = wire.push("core.ping", reply_to="c2")
    eventually(lambda: wire.inbox("c2"), "the node is back")
    assert [entry["id"] for entry in wire.inbox("c1")] == [job]
    assert [entry["id"] for entry in wire.inbox("c2")] == [probe]
