"""Groups whose nodes are killed, stopped, cut off: each command has one result and runs once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.groupwire import GroupWire, member_of
from tests.helpers.marked import marked_with
from tests.helpers.nodes import NodeProcess, RunNode, start_together

GROUP = "build"
STUCK_ON_N1 = "case $COREX_JOB_NODE in */n1@*) sleep 300;; esac"


@pytest.fixture
def group(own_redis: EmbeddedRedis, keys: Keys) -> GroupWire:
    return GroupWire(redis.Redis.from_url(own_redis.url), keys, GROUP)


def _start(
    run_node: RunNode, group: GroupWire, url: str, *envs: Mapping[str, str]
) -> list[NodeProcess]:
    """Start a node with each of some settings, and return when all are members."""
    nodes = [
        run_node(f"n{at}", url=url, env=member_of(GROUP, 6, env), start=False)
        for at, env in enumerate(envs, 1)
    ]
    start_together(nodes)
    eventually(lambda: group.members() == [node.id for node in nodes], "all are members")
    return nodes


def _blocked_queue(group: GroupWire, diary: Diary) -> tuple[str, list[str]]:
    """Push a command that never ends and five that wait for it; return when all are claimed."""
    running = group.script(diary.script("sleep 300"), queue="q")
    behind = [group.script(diary.script(), queue="q") for _ in range(5)]
    eventually(lambda: len(group.claimed()) == 6, "all are claimed")
    eventually(lambda: diary.lines() == [running], "the first runs")
    return running, behind


def _one_each(group: GroupWire, diary: Diary, jobs: list[str], seconds: float = 30) -> Counter[str]:
    """See that each job has one result and ran no more than once; return the states."""
    results = group.results(jobs, seconds)
    states = Counter(result["state"] for result in results.values())
    runs = diary.runs()
    assert max(runs.values()) == 1
    ended = {job for job, result in results.items() if result["state"] == "SUCCESS"}
    assert ended <= set(runs)
    group.wait_unclaimed()
    assert group.waiting() == []
    return states


def test_a_node_that_is_killed_and_stays_away_leaves_its_commands_to_the_others(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """What it ran is LOST, said in its name; what it had not started runs elsewhere, in order."""
    (first,) = _start(run_node, group, own_redis.url, {})
    running = [
        group.script(
            diary.script("echo out; sleep 300"), queue=f"q{at}", stream=True, reply_to="me"
        )
        for at in range(3)
    ]
    behind = [group.script(diary.script(), queue=f"q{at % 3}") for at in range(12)]
    eventually(lambda: len(group.claimed()) == 15, "all are claimed")
    eventually(lambda: all(group.log(job) for job in running), "three run")
    for name in ("n2", "n3"):
        run_node(name, url=own_redis.url, env=member_of(GROUP, 1))
    eventually(lambda: group.members() == ["n1", "n2", "n3"], "all are members")
    first.kill()
    for job, result in group.results(running).items():
        assert (result["state"], result["code"], result["node"]) == ("LOST", 503, "n1")
        assert "settled by node" in result["data"]
        assert [message["seq"] for message in group.log(job)] == [0, 1]
        assert group.log(job)[-1]["flags"] & 4
    heard = {entry["id"]: entry["state"] for entry in group.inbox("me")}
    assert heard == dict.fromkeys(running, "LOST")
    results = group.results(behind)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert {result["node"] for result in results.values()} == {"n2", "n3"}
    assert set(diary.runs().values()) == {1}
    for name in ("n2", "n3"):
        mine = [job for job in behind if results[job]["node"] == name]
        assert [job for job in diary.lines() if job in mine] == mine
    group.wait_unclaimed()
    assert group.members() == ["n2", "n3"]


def test_what_may_be_retried_runs_again_on_another_node(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """It is claimed and accepted as if for the first time."""
    nodes = _start(run_node, group, own_redis.url, {}, {})
    job = group.script(diary.script("sleep 2"), on_lost="retry")
    eventually(lambda: diary.lines() == [job], "it runs")
    first = group.state(job)["node"]
    (mine,) = [node for node in nodes if node.id == first]
    mine.kill()
    result = group.result(job)
    assert result["state"] == "SUCCESS"
    assert result["node"] != first
    assert diary.lines() == [job, job]
    group.wait_unclaimed()


def test_a_node_that_is_back_at_once_settles_what_it_had(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """Its next agent starts what had not started, and says LOST of what ran."""
    (node,) = _start(run_node, group, own_redis.url, {})
    running, behind = _blocked_queue(group, diary)
    node.kill()
    node.start()
    assert group.result(running)["state"] == "LOST"
    assert {result["state"] for result in group.results(behind).values()} == {"SUCCESS"}
    assert diary.lines() == [running, *behind]
    group.wait_unclaimed()
    assert group.members() == ["n1"]


@pytest.mark.parametrize(
    "point", ["claimed", "accepted", "marked", "started", "ended", "finished", "released"]
)
def test_a_node_dies_wherever_it_may(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary, point: str
) -> None:
    """Whatever it was at, the other node brings all commands to their one end."""
    group.push_bytes(
        *(group.payload("bash", {"script": diary.script()}, id=f"j{at:03}") for at in range(40)),
        *(
            group.payload("bash", {"script": diary.script()}, id=f"k{at:03}", queue=f"q{at % 2}")
            for at in range(20)
        ),
    )
    jobs = [*(f"j{at:03}" for at in range(40)), *(f"k{at:03}" for at in range(20))]
    dying = run_node(
        "n1", url=own_redis.url, env=member_of(GROUP, 6, {"COREX_FAULT": f"{point}:2"}), start=False
    )
    dying.start(wait=False)
    assert dying.wait() == -signal.SIGKILL
    run_node("n2", url=own_redis.url, env=member_of(GROUP, 6))
    states = _one_each(group, diary, jobs)
    assert set(states) <= {"SUCCESS", "LOST"}
    assert states["LOST"] <= 26
    if point in {"claimed", "marked"}:
        assert states["SUCCESS"] >= 40


def test_a_reaper_dies_at_its_work(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """The next one completes it."""
    (first,) = _start(run_node, group, own_redis.url, {})
    running = group.script(diary.script("sleep 300"), queue="q")
    retried = group.script(STUCK_ON_N1, on_lost="retry")
    behind = [group.script(diary.script(), queue="q") for _ in range(5)]
    eventually(lambda: len(group.claimed()) == 7, "all are claimed")
    group.wait_stage(retried, "running")
    eventually(lambda: diary.lines() == [running], "the first runs")
    first.kill()
    second = run_node(
        "n2", url=own_redis.url, env=member_of(GROUP, 6, {"COREX_FAULT": "taken-over"}), start=False
    )
    second.start(wait=False)
    assert second.wait() == -signal.SIGKILL
    assert group.state(behind[0])["stage"] == "queued"
    run_node("n3", url=own_redis.url, env=member_of(GROUP, 6))
    results = group.results([running, retried, *behind])
    assert results.pop(running)["state"] == "LOST"
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert diary.lines() == [running, *behind]
    group.wait_unclaimed()


def test_the_next_agent_of_a_node_completes_what_a_reaper_began(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """A command that is on its way back to the list goes there, and is claimed anew."""
    (first,) = _start(run_node, group, own_redis.url, {})
    running, behind = _blocked_queue(group, diary)
    first.kill()
    second = run_node(
        "n2", url=own_redis.url, env=member_of(GROUP, 6, {"COREX_FAULT": "taken-over"}), start=False
    )
    second.start(wait=False)
    assert second.wait() == -signal.SIGKILL
    first.start()
    results = group.results([running, *behind])
    assert results.pop(running)["state"] == "LOST"
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert diary.lines() == [running, *behind]
    group.wait_unclaimed()


def test_a_node_that_was_stopped_beyond_its_lease_does_no_harm_when_it_comes_back(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """What it had is others'; its late results are refused, its jobs end, it takes part again."""
    (first,) = _start(run_node, group, own_redis.url, {})
    late = group.script(diary.script("sleep 1; echo late"))
    endless = group.script(diary.script("sleep 300"))
    retried = group.script(STUCK_ON_N1, on_lost="retry")
    holder = group.script(diary.script("sleep 300"), queue="q")
    behind = [group.script(diary.script(), queue="q") for _ in range(5)]
    everything = [late, endless, retried, holder, *behind]
    eventually(lambda: len(group.claimed()) == len(everything), "all are claimed")
    eventually(lambda: len(diary.lines()) == 3, "those that note it run")
    group.wait_stage(retried, "running")
    first.signal(signal.SIGSTOP)
    second = run_node("n2", url=own_redis.url, env=member_of(GROUP, 6))
    results = group.results(everything)
    states = {job: result["state"] for job, result in results.items()}
    assert states == {
        **dict.fromkeys([late, endless, holder], "LOST"),
        **dict.fromkeys([retried, *behind], "SUCCESS"),
    }
    first.signal(signal.SIGCONT)
    eventually(lambda: group.members() == ["n1", "n2"], "it takes part again")
    assert "group.lost" in first.log_text()
    assert group.results(everything) == results
    assert set(diary.runs().values()) == {1}
    eventually(lambda: not marked_with(everything), "its processes are ended")
    group.wait_unclaimed()
    assert second.stop() == 0
    again = group.script("true")
    assert group.result(again)["node"] == "n1"


def test_a_stopped_node_comes_back_after_a_reaper_died_at_its_work(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary, tmp_path: Path
) -> None:
    """What was begun it completes itself, and starts nothing that others were given."""
    (first,) = _start(run_node, group, own_redis.url, {})
    mark = tmp_path / "mark"
    late = group.script(diary.script("sleep 1"))
    endless = group.script(diary.script("sleep 300"), queue="q")
    retried = group.script(f"[ -e {mark} ] || {{ touch {mark}; sleep 300; }}", on_lost="retry")
    behind = [group.script(diary.script(), queue="q") for _ in range(5)]
    eventually(lambda: len(group.claimed()) == 8, "all are claimed")
    eventually(lambda: len(diary.lines()) == 2 and mark.exists(), "three run")
    first.signal(signal.SIGSTOP)
    fault = member_of(GROUP, 6, {"COREX_FAULT": "taken-over"})
    second = run_node("n2", url=own_redis.url, env=fault, start=False)
    second.start(wait=False)
    assert second.wait() == -signal.SIGKILL
    first.signal(signal.SIGCONT)
    results = group.results([late, endless, retried, *behind])
    assert {results.pop(job)["state"] for job in (late, endless)} == {"LOST"}
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert sorted(diary.lines()) == sorted([late, endless, *behind])
    assert diary.lines()[2:] == behind
    eventually(lambda: not marked_with([late, endless]), "its processes are ended")
    group.wait_unclaimed()


def test_redis_away_beyond_all_leases_costs_no_job(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """Nobody takes another for gone who could not be heard either, or needs longer to be back."""
    late, *_ = _start(run_node, group, own_redis.url, *[{"COREX_NODE_LIMITS_LEASE": "3"}] * 3)
    long = [group.script(diary.script("sleep 6")) for _ in range(6)]
    jobs = [group.script(diary.script("sleep 0.2")) for _ in range(60)]
    eventually(lambda: diary.has(20), "some ran")
    own_redis.stop(keep_data=True)
    late.signal(signal.SIGSTOP)
    time.sleep(3.1)  # how long it is away is the case
    own_redis.start()
    time.sleep(2)  # so is by how much it is late: others have looked for those who are gone
    late.signal(signal.SIGCONT)
    assert set(_one_each(group, diary, [*long, *jobs])) == {"SUCCESS"}


def test_redis_killed_under_load(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """With its data on disk nothing is lost and nothing runs twice."""
    _start(run_node, group, own_redis.url, {}, {}, {})
    jobs = [group.script(diary.script()) for _ in range(240)]
    for part in (1, 2, 3):
        eventually(lambda part=part: diary.has(len(jobs) * part // 5), "some ran", seconds=20)  # type: ignore[misc]
        own_redis.kill()
        own_redis.start()
    assert set(_one_each(group, diary, jobs)) == {"SUCCESS"}


def test_nodes_stopped_and_started_all_the_time(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """Whoever leaves gives back what has not started; nothing is lost or run twice."""
    nodes = _start(run_node, group, own_redis.url, {}, {})
    jobs = [group.script(diary.script("sleep 0.05")) for _ in range(200)]
    for part, node in ((1, nodes[0]), (2, nodes[1]), (3, nodes[0])):
        eventually(lambda part=part: diary.has(40 * part), "some ran", seconds=20)  # type: ignore[misc]
        assert node.stop() == 0, node.log_tail()
        node.start()
    assert set(_one_each(group, diary, jobs)) == {"SUCCESS"}


def test_a_recurring_job_goes_on_elsewhere_when_its_node_stops(
    own_redis: EmbeddedRedis, run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """It waits for its next run, so nothing of it is lost."""
    nodes = _start(run_node, group, own_redis.url, {}, {})
    job = group.script(diary.script(), recurring_period=0.2)
    eventually(lambda: diary.has(3), "it runs again and again")
    (mine,) = [node for node in nodes if node.id == group.state(job)["node"]]
    mine.stop()
    before = len(diary.lines())
    eventually(lambda: diary.has(before + 3), "it goes on")
    other = group.state(job)["node"]
    assert other != mine.id
    group.push("job.kill", {"id": job}, control=True, node=other)
    assert group.result(job)["state"] == "KILLED"
    group.wait_unclaimed()
