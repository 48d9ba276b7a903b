"""A node that stays away beyond its lease: other agents settle what it left, and nothing else."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from corex import Client
from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.gone import HOUR_MS, leave_filed, leave_unfiled, list_as_gone, now_ms
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Pairs, Wire

SHORT = {
    "COREX_NODE_LIMITS_LEASE": "1.5",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.3",
    "COREX_NODE_LIMITS_REAP": "1",
    "COREX_NODE_MAX_JOBS": "50",
}
MANY = 10_000
SECONDS = 20.0
"""Some leases, on a machine that has other things to do."""


@pytest.fixture
def client(own_redis: EmbeddedRedis, keys: Keys) -> Iterator[Client]:
    """A client of the server of this test alone."""
    with Client(own_redis.url, namespace=keys.namespace) as client:
        yield client


def _by_kind(heard: list[Pairs]) -> dict[str, Pairs]:
    """Events by their kind, messages as "None"."""
    return {str(item.get("event")): item for item in heard}


def _states(results: dict[str, Pairs]) -> Counter[str]:
    return Counter(str(result["state"]) for result in results.values())


def _settled_by(agent: NodeProcess) -> bool:
    return "reaper.settled" in agent.log_text()


def test_what_ran_is_lost_what_expires_expires_and_the_rest_waits_for_the_node(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """An agent is killed for good under load; when it is back at last, the rest runs once."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    other = run_node("n2", url=own_redis.url, env=SHORT)
    ran = [wire.script(diary.script("sleep 60")) for _ in range(29)]
    ran += [wire.script(diary.script("sleep 60"), queue="q")]
    waiting = [wire.script(diary.script(), queue="q") for _ in range(20)]
    eventually(lambda: len(diary.lines()) == len(ran), "all run that can")
    for job in waiting:
        wire.wait_stage(job, "waiting")
    node.kill()
    soon = now_ms() + 100
    backlog = [wire.script(diary.script()) for _ in range(10)]
    later = [wire.script(diary.script(), expires_at=soon + HOUR_MS) for _ in range(10)]
    expired = [wire.script(diary.script(), expires_at=soon) for _ in range(10)]
    expired += [wire.push("core.ping", control=True, expires_at=soon)]
    results = wire.results([*ran, *expired], SECONDS)
    assert {(results[job]["state"], results[job]["code"]) for job in ran} == {("LOST", 503)}
    assert {(results[job]["state"], results[job]["code"]) for job in expired} == {("EXPIRED", 410)}
    assert {result["node"] for result in results.values()} == {"n1"}
    assert "settled by node n2" in results[ran[0]]["data"]
    eventually(lambda: sorted(name.decode() for name in wire.claimed()) == waiting)
    assert [command["id"] for command in wire.waiting()] == [*backlog, *later]
    assert other.running
    node.start()
    rest = [*waiting, *backlog, *later]
    assert _states(wire.results(rest)) == {"SUCCESS": len(rest)}
    assert set(diary.runs().values()) == {1}
    assert sorted(diary.lines()) == sorted([*ran, *rest])
    assert wire.results([*ran, *expired]) == results


def test_whoever_waits_or_follows_hears_of_it(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, client: Client
) -> None:
    """A waiting client has the result; streams, logs, the node's log and events have an end."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    run_node("n2", url=own_redis.url, env=SHORT)
    job = client.node("n1").submit("bash", {"script": "echo out; sleep 60"}, stream=True)
    messages = job.stream(timeout=SECONDS)
    assert next(messages).text == "out\n"
    node_log, events = wire.keys.node_log("n1"), wire.keys.events()
    with wire.subscribed(node_log, events) as heard:
        node.kill()
        result = job.wait(SECONDS)
        assert (result.state, result.code, result.node) == ("LOST", 503, "n1")
        (last,) = messages
        assert (last.seq, last.is_last, last.text) == (1, True, result.data)
        assert [(entry["seq"], entry["flags"]) for entry in wire.log(job.id)] == [(0, 1), (1, 5)]
        both = {"None", "reaped"}
        told = eventually(
            lambda: found if both <= (found := _by_kind(heard())).keys() else {},
            "both channels have it",
        )
    assert told["None"]["flags"] == 5
    assert (
        told["reaped"].items() >= {"job": job.id, "node": "n1", "state": "LOST", "by": "n2"}.items()
    )


def test_a_job_that_may_be_repeated_waits_for_its_node(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary, tmp_path: Path
) -> None:
    """It has no result until its node is back, and runs again there, once."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    other = run_node("n2", url=own_redis.url, env=SHORT)
    ran = tmp_path / "ran"
    again = wire.script(diary.script(f"[ -e {ran} ] || sleep 60"), on_lost="retry")
    lost = wire.script(diary.script("sleep 60"))
    eventually(lambda: len(diary.lines()) == 2)
    node.kill()
    wire.results([lost], SECONDS)
    eventually(lambda: _settled_by(other))
    assert list(wire.claimed()) == [again.encode()]
    ran.touch()
    node.start()
    assert _states(wire.results([again])) == {"SUCCESS": 1}
    assert diary.runs() == {again: 2, lost: 1}


def test_many_entries_and_two_reapers_of_which_one_is_stopped_in_the_middle(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Each job has one result and its client hears of it once, whoever wrote it."""
    reapers = [run_node(name, url=own_redis.url, env=SHORT) for name in ("n2", "n3")]
    incarnations = {wire.presence(node.id)["incarnation"]: node for node in reapers}
    for attempt in range(1, 6):
        gone, inbox = f"gone{attempt}", wire.keys.inbox(f"me{attempt}")
        payloads = (wire.payload("bash", reply_to=f"me{attempt}") for _ in range(MANY))
        lost = leave_filed(wire, "running", payloads, gone)
        list_as_gone(wire, gone, ago_ms=0)
        deadline = time.monotonic() + SECONDS
        while not wire.redis.llen(inbox):  # without a pause: all of it takes a second or so
            assert time.monotonic() < deadline, "nobody has begun"
        note = wire.redis.get(wire.keys.reaper(gone))
        stopped = incarnations[note.split()[1].decode()]
        stopped.signal(signal.SIGSTOP)
        if wire.redis.hlen(wire.keys.claimed(gone)) > 100:
            break
        stopped.signal(signal.SIGCONT)  # it was too quick to be stopped
    else:
        pytest.fail("it was too quick each time")
    assert _states(wire.results(lost, SECONDS)) == {"LOST": MANY}
    wire.wait_unclaimed(gone)
    stopped.signal(signal.SIGCONT)
    wire.results([wire.push("core.ping", node=stopped.id)])
    time.sleep(1)  # for the one that was stopped to do whatever it had in mind
    assert _states(wire.results(lost)) == {"LOST": MANY}
    heard = [entry["id"] for entry in wire.inbox(f"me{attempt}")]
    assert sorted(heard) == lost


def test_the_node_comes_back_while_it_is_being_settled(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """Each job has one result, nothing runs twice, and what had not started runs once."""
    lost = leave_filed(
        wire, "running", (wire.payload("bash", {"script": "false"}) for _ in range(3000))
    )
    fresh = [wire.payload("bash", {"script": diary.script()}, reply_to="me") for _ in range(40)]
    waiting = leave_filed(wire, "claimed", fresh[:20])
    leave_unfiled(wire, fresh[20:])
    listed = [wire.script(diary.script()) for _ in range(200)]
    expired = [wire.script(diary.script(), expires_at=1) for _ in range(200)]
    list_as_gone(wire)
    back = run_node("n1", url=own_redis.url, env=SHORT, start=False)
    run_node("n2", url=own_redis.url, env=SHORT)
    events = wire.keys.events()
    with wire.subscribed(events) as heard:
        eventually(lambda: "reaped" in _by_kind(heard()), "it has begun", seconds=SECONDS)
        back.start()
        assert _states(wire.results(lost, SECONDS)) == {"LOST": 3000}
        by_reaper = Counter(event["job"] for event in heard() if event["event"] == "reaped")
    assert set(by_reaper.values()) == {1}
    assert _states(wire.results(expired, SECONDS)) == {"EXPIRED": 200}
    ids = [json.loads(payload)["id"] for payload in fresh]
    assert waiting == ids[:20]
    assert _states(wire.results([*ids, *listed])) == {"SUCCESS": 240}
    assert diary.runs() == dict.fromkeys([*ids, *listed], 1)
    wire.wait_unclaimed()


def test_an_agent_that_was_only_stopped_does_no_harm_when_it_goes_on(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, diary: Diary
) -> None:
    """What it ran has its results already, from another: they stay as they are."""
    node = run_node("n1", url=own_redis.url, env=SHORT)
    run_node("n2", url=own_redis.url, env=SHORT)
    jobs = [wire.script(diary.script("sleep 3"), reply_to="me") for _ in range(10)]
    waiting = wire.script(diary.script(), queue="q", expires_at=now_ms() + 3_600_000)
    eventually(lambda: len(diary.lines()) == 11)
    wire.results([waiting])
    node.signal(signal.SIGSTOP)
    results = wire.results(jobs, SECONDS)
    assert _states(results) == {"LOST": 10}
    node.signal(signal.SIGCONT)
    again = wire.push("core.ping")
    assert _states(wire.results([again], SECONDS)) == {"SUCCESS": 1}
    wire.wait_unclaimed()
    assert wire.results(jobs) == results
    assert Counter(entry["id"] for entry in wire.inbox("me")) == dict.fromkeys(jobs, 1)
    assert set(diary.runs().values()) == {1}


@pytest.mark.parametrize("point", ["reap-finished", "reap-moved"])
def test_a_reaper_that_dies_between_two_steps(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire, point: str
) -> None:
    """Another goes on where it ended."""
    lost = leave_filed(wire, "running", (wire.payload("bash") for _ in range(300)))
    expired = [wire.push("core.ping", expires_at=1, reply_to="me") for _ in range(300)]
    list_as_gone(wire)
    doomed = run_node("n2", url=own_redis.url, env={**SHORT, "COREX_FAULT": point})
    assert doomed.wait() == -signal.SIGKILL
    assert wire.claimed() or wire.waiting()
    run_node("n3", url=own_redis.url, env=SHORT)
    results = wire.results([*lost, *expired], SECONDS)
    assert _states(results) == {"LOST": 300, "EXPIRED": 300}
    wire.wait_unclaimed()
    assert sorted(entry["id"] for entry in wire.inbox("me")) == expired
    assert wire.waiting() == []


def test_a_long_list_is_looked_through_to_its_end(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Expired commands are found wherever they are; all others stay, in their order."""
    payloads, expired = [], []
    for number in range(20_000):
        expires = number % 1000 == 999 or 5000 <= number < 6200
        fields: Pairs = {"expires_at": 1} if expires else {}
        payloads.append(wire.payload("core.ping", **fields))
        if fields:
            expired.append(json.loads(payloads[-1])["id"])
    wire.push_bytes(*payloads)
    list_as_gone(wire)
    run_node("n2", url=own_redis.url, env=SHORT)
    assert _states(wire.results(expired, SECONDS)) == {"EXPIRED": 20 + 1200 - 1}
    wire.wait_unclaimed()
    left = [payload for payload in payloads if b"expires_at" not in payload]
    assert wire.redis.lrange(wire.keys.commands("n1"), 0, -1) == left


def test_a_command_pushed_to_a_node_that_is_long_gone_expires(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Though nothing was to be done when the node was looked at first."""
    run_node("n1", url=own_redis.url, env=SHORT).kill()
    run_node("n2", url=own_redis.url, env=SHORT)
    eventually(lambda: wire.redis.exists(wire.keys.reaper("n1")), seconds=SECONDS)
    job = wire.push("core.ping", expires_at=now_ms() + 500)
    assert wire.results([job], SECONDS)[job]["state"] == "EXPIRED"


def test_while_redis_is_away_nobody_is_taken_for_gone(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """All leases end while it is away; still all jobs end as they would."""
    nodes = ("n1", "n2", "n3")
    for node in nodes:
        run_node(node, url=own_redis.url, env=SHORT)
    jobs = [wire.push("bash", {"script": "sleep 6"}, node=node) for node in nodes]
    for job in jobs:
        wire.wait_stage(job, "running")
    own_redis.stop(keep_data=True)
    time.sleep(3)  # two leases: how long it is away is the case
    own_redis.start()
    assert _states(wire.results(jobs, SECONDS)) == {"SUCCESS": 3}


def test_idle_reapers_cost_next_to_nothing(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Three agents beside a dead node where all is settled: a look each time, and no more."""
    waiting = [wire.push("core.ping") for _ in range(1000)]
    leave_filed(wire, "claimed", (wire.payload("core.ping") for _ in range(1000)))
    list_as_gone(wire, ago_ms=24 * HOUR_MS)
    for name in ("n2", "n3", "n4"):
        run_node(name, url=own_redis.url, env=SHORT)
    note = wire.keys.reaper("n1")
    eventually(lambda: wire.redis.pttl(note) > 60_000, "it was settled", seconds=SECONDS)
    time.sleep(1.5)  # each of them has seen that, or will within the time that is measured
    before, began = _calls(wire), time.monotonic()
    time.sleep(4)  # the time that is measured
    calls, seconds = _calls(wire) - before, time.monotonic() - began
    assert len(wire.waiting()) == len(waiting)
    assert calls["hscan"] == calls["lrange"] == 0
    assert calls["zscore"] <= 3
    # A look a second and reaper here, where by default it is one in 15 s.
    assert 0 < calls["zrangebyscore"] <= 3 * seconds / 0.8 + 3


def test_what_was_looked_through_is_not_read_again(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """As long as nothing was added and nothing has expired; then it is."""
    leave_filed(wire, "claimed", (wire.payload("core.ping") for _ in range(100)))
    wire.push("core.ping")
    list_as_gone(wire, ago_ms=15_000)
    run_node("n2", url=own_redis.url, env=SHORT)
    eventually(lambda: _calls(wire)["lrange"], seconds=SECONDS)
    before = _calls(wire)
    eventually(lambda: _calls(wire)["zscore"] >= before["zscore"] + 3, seconds=SECONDS)
    assert (_calls(wire) - before)["hscan"] == 0
    job = wire.push("core.ping", expires_at=1)
    assert wire.results([job], SECONDS)[job]["state"] == "EXPIRED"


def _calls(wire: Wire) -> Counter[str]:
    told = wire.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): item["calls"] for name, item in told.items()})


def test_an_agent_that_may_not_settle_for_others_says_so_once(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Its user is limited to its own keys, and it serves its own node."""
    (lost,) = leave_filed(wire, "running", [wire.payload("bash")], "n9")
    list_as_gone(wire, "n9")
    space = wire.keys.namespace
    own = ["{node:n1}:*", "{job:*", "{client:*", "nodes"]
    allowed = [f"~{space}:{key}" for key in own]
    wire.redis.execute_command(
        "ACL", "SETUSER", "limited", "on", ">secret", "&*", "+@all", *allowed
    )
    url = own_redis.url.replace("redis://", "redis://limited:secret@")
    agent = run_node("n1", url=url, env=SHORT)
    eventually(lambda: "reaper.refused" in agent.log_text(), seconds=SECONDS)
    job = wire.push("core.ping", reply_to="me")
    assert wire.results([job])[job]["state"] == "SUCCESS"
    assert agent.log_text().count("reaper.refused") == 1
    assert wire.state(lost)["stage"] == "running"


def test_what_cannot_be_read_stays_and_is_in_nobodys_way(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """Whatever somebody wrote to the keys of one node, other entries and nodes are settled."""
    (lost,) = leave_filed(wire, "running", [wire.payload("bash", reply_to="n1")])
    junk = {
        b"@x": b"expires_at",
        b"odd": b"running \xff\n{}",
        b"odd2": b"running n1/7\n{expires_at",
        b"odd3": b"running n1/8\n" + wire.payload("bash", id="not an ID"),
        b"@77": b'{"id": "j", "command": "c", "expires_at": -1}',
    }
    wire.redis.hset(wire.keys.claimed("n1"), mapping=junk)
    wire.push_bytes(b"expires_at", b'{"expires_at": 1}')
    wire.redis.set(wire.keys.claimed("n8"), "no hash")
    (also,) = leave_filed(wire, "running", [wire.payload("bash")], "n9")
    for node in ("n1", "n8", "n9", "not an ID"):
        list_as_gone(wire, node)
    wire.redis.zadd(wire.keys.nodes(), {"-inf": "-inf", "inf": "inf"})
    agent = run_node("n2", url=own_redis.url, env=SHORT)
    assert _states(wire.results([lost, also], SECONDS)) == {"LOST": 2}
    eventually(lambda: "reaper.node_refused" in agent.log_text())
    eventually(lambda: wire.claimed() == junk)
    assert wire.redis.llen(wire.keys.commands("n1")) == 2
    assert "reaper.failed" not in agent.log_text()
    assert "reaper.node_failed" not in agent.log_text()


def test_a_node_that_is_long_gone_and_left_nothing_is_listed_no_more(
    own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire
) -> None:
    """One that left a command stays, and so does one that was there last week."""
    week = 7 * 24 * HOUR_MS
    for node, ago in (("old", week + HOUR_MS), ("laden", week + HOUR_MS), ("late", week - HOUR_MS)):
        list_as_gone(wire, node, ago)
    wire.push("core.ping", node="laden")
    run_node("n2", url=own_redis.url, env=SHORT)
    nodes = wire.keys.nodes()
    eventually(lambda: wire.redis.zscore(nodes, "old") is None, seconds=SECONDS)
    noted = [wire.keys.reaper("laden"), wire.keys.reaper("late")]
    eventually(lambda: wire.redis.exists(*noted) == 2)
    assert set(wire.redis.zrange(nodes, 0, -1)) == {b"laden", b"late", b"n2"}


def test_it_can_be_switched_off(own_redis: EmbeddedRedis, run_node: RunNode, wire: Wire) -> None:
    """An agent with `limits.reap` 0 does not even look."""
    before = _calls(wire)
    run_node("n2", url=own_redis.url, env={**SHORT, "COREX_NODE_LIMITS_REAP": "0"})
    time.sleep(2)  # in which it would have looked
    assert (_calls(wire) - before)["zrangebyscore"] == 0
