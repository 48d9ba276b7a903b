"""Groups: each command is taken by exactly one of their nodes, within its free slots."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.diary import Diary
from tests.helpers.eventually import eventually
from tests.helpers.groupwire import GroupWire, member_of
from tests.helpers.nodes import NodeProcess, RunNode, start_together

GROUP = "build"


@pytest.fixture
def group(raw: redis.Redis, keys: Keys) -> GroupWire:
    return GroupWire(raw, keys, GROUP)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


def _start(run_node: RunNode, group: GroupWire, *max_jobs: int) -> list[NodeProcess]:
    """Start as many nodes, and return when each is a member."""
    nodes = [run_node(env=member_of(GROUP, most), start=False) for most in max_jobs]
    start_together(nodes)
    eventually(lambda: group.members() == [node.id for node in nodes], "all are members")
    return nodes


def test_each_command_runs_once_and_all_nodes_have_some(
    run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """300 commands for 3 nodes: none is lost, none runs twice, nothing is left behind."""
    _start(run_node, group, 10, 10, 10)
    jobs = [group.script(diary.script()) for _ in range(300)]
    results = group.results(jobs)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    assert Counter(diary.lines()) == Counter(jobs)
    nodes = Counter(result["node"] for result in results.values())
    assert set(nodes) == {"n1", "n2", "n3"}
    assert min(nodes.values()) >= 30
    group.wait_unclaimed()


def test_a_burst_is_shared_by_all_nodes_though_one_could_take_it(
    run_node: RunNode, group: GroupWire
) -> None:
    """No node takes more than its share while others are idle."""
    _start(run_node, group, 200, 200, 200)
    payloads = [group.payload("bash", {"script": "sleep 0.2"}) for _ in range(30)]
    group.push_bytes(*payloads)
    jobs = [json.loads(payload)["id"] for payload in payloads]
    nodes = Counter(result["node"] for result in group.results(jobs).values())
    assert len(nodes) == 3
    assert max(nodes.values()) <= 20


def test_commands_wait_in_the_list_and_not_in_a_node(
    run_node: RunNode, group: GroupWire, tmp_path: Path
) -> None:
    """What has no free slot stays where any node can take it."""
    _start(run_node, group, 2, 1)
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    jobs = [group.script(wait) for _ in range(10)]
    eventually(lambda: len(group.claimed()) == 3, "as many are claimed as there are slots")
    assert [command["id"] for command in group.waiting()] == jobs[3:]
    eventually(lambda: _stages(group) == ["running"] * 3, "all that are claimed run")
    gate.touch()
    assert {result["state"] for result in group.results(jobs).values()} == {"SUCCESS"}


def test_the_nodes_own_list_and_its_groups_share_its_slots(
    run_node: RunNode, group: GroupWire, raw: redis.Redis, keys: Keys
) -> None:
    """Neither is starved by the other, and together they never have more than there are."""
    run_node("n1", env=member_of(f"{GROUP},other", 4))
    other = GroupWire(raw, keys, "other")
    eventually(lambda: group.members() == other.members() == ["n1"], "a member of both")
    jobs = {
        name: [wire.script("sleep 0.05", **where) for _ in range(40)]
        for name, wire, where in (
            ("own", group, {"node": "n1"}),
            ("group", group, {}),
            ("other", other, {}),
        )
    }

    def all_ended() -> bool:
        claimed = [*group.claimed().values(), *other.claimed().values()]
        claimed += group.claimed("n1").values()
        # For a slot that was free when another list was asked too.
        assert not any(entry.startswith(b"waiting") for entry in claimed)
        return all(raw.exists(keys.result(names[-1])) for names in jobs.values())

    eventually(all_ended, "the last of each list ended", seconds=20)
    ends = {
        name: int(group.state(names[len(names) // 2])["finished"]) for name, names in jobs.items()
    }
    everything = [job for names in jobs.values() for job in names]
    results = group.results(everything)
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    first = min(int(group.state(job)["finished"]) for job in everything)
    last = max(int(group.state(job)["finished"]) for job in everything)
    # Half of each list is done about when half of all is.
    for end in ends.values():
        assert 0.2 < (end - first) / (last - first) < 0.8


def _stages(*wires: GroupWire) -> list[str]:
    return [
        entry.partition(b" ")[0].decode() for wire in wires for entry in wire.claimed().values()
    ]


def test_a_named_queue_keeps_its_order_on_one_node(
    run_node: RunNode, group: GroupWire, diary: Diary
) -> None:
    """Those of one queue that one node takes run one after another, as they were pushed."""
    _start(run_node, group, 5)
    jobs = [group.script(diary.script("sleep 0.01"), queue="q") for _ in range(20)]
    group.results(jobs)
    assert diary.lines() == jobs


def test_what_cannot_be_read_goes_to_the_rejected_list_of_who_took_it(
    run_node: RunNode, group: GroupWire
) -> None:
    """So does a payload without an ID; one with an ID has its result too."""
    _start(run_node, group, 5)
    group.push_bytes(b"rubbish", b'{"command": "bash"}', b'{"id": "bad", "command": 5}')
    assert group.result("bad")["state"] == "REJECTED"
    eventually(lambda: len(group.rejected("n1")) == 3, "three are noted")
    assert sorted(entry["payload"] for entry in group.rejected("n1")) == sorted(
        ["rubbish", '{"command": "bash"}', '{"id": "bad", "command": 5}']
    )
    group.wait_unclaimed()


def test_unknown_commands_and_duplicates_are_answered(run_node: RunNode, group: GroupWire) -> None:
    """An ID is used once, whichever nodes take the copies."""
    _start(run_node, group, 5, 5)
    job = group.push("no.such")
    assert group.result(job)["state"] == "UNKNOWN_CMD"
    payload = group.payload("bash", {"script": "sleep 0.3"}, id="twice", reply_to="me")
    group.push_bytes(payload, payload)
    assert group.result("twice")["state"] == "SUCCESS"
    eventually(lambda: len(group.inbox("me")) == 2, "both senders hear")
    assert sorted(entry["state"] for entry in group.inbox("me")) == ["DUPILICATE_ID", "SUCCESS"]
    assert len(group.rejected("n1")) + len(group.rejected("n2")) == 1
    group.wait_unclaimed()


def test_expired_commands_are_not_run(run_node: RunNode, group: GroupWire) -> None:
    """As with a node's own list."""
    job = group.script("echo late", expires_at=1)
    _start(run_node, group, 5)
    assert group.result(job)["state"] == "EXPIRED"
    group.wait_unclaimed()


def test_a_node_that_stops_gives_back_what_it_has_not_started_and_leaves(
    run_node: RunNode, group: GroupWire, tmp_path: Path
) -> None:
    """It goes to the left of the list, in order; what runs may end."""
    (node,) = _start(run_node, group, 5)
    gate = tmp_path / "gate"
    jobs = [
        group.script(f"while [ ! -e {gate} ]; do sleep 0.02; done", queue="q") for _ in range(4)
    ]
    group.wait_stage(jobs[0], "running")
    eventually(lambda: len(group.claimed()) == 4, "all are claimed")
    later = group.script("true")
    group.wait_stage(later, "finished")
    node.process.terminate()
    eventually(lambda: group.members() == ["~n1"], "it is quiet")
    behind = group.script("true")
    eventually(lambda: len(group.waiting()) == 4, "three are back, before the one behind them")
    assert [command["id"] for command in group.waiting()] == [*jobs[1:], behind]
    gate.touch()
    assert node.wait() == 0
    assert group.result(jobs[0])["state"] == "SUCCESS"
    assert group.claimed() == {}
    assert group.members() == []
    node.start()
    results = group.results([*jobs, behind])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}


def test_jobs_of_a_group_have_all_that_others_have(run_node: RunNode, group: GroupWire) -> None:
    """Streams, sizes, many small built-ins; and a kill by the node that has it."""
    _start(run_node, group, 5)
    streaming = group.script("echo one; echo two >&2", stream=True)
    assert group.result(streaming)["state"] == "SUCCESS"
    assert sorted(message["message"] for message in group.log(streaming)) == ["", "one\n", "two\n"]
    pings = [group.push("core.ping") for _ in range(200)]
    assert {result["state"] for result in group.results(pings).values()} == {"SUCCESS"}
    endless = group.script("sleep 300")
    group.wait_stage(endless, "running")
    node = group.state(endless)["node"]
    group.push("job.kill", {"id": endless}, control=True, node=node)
    assert group.result(endless)["state"] == "KILLED"
    group.wait_unclaimed()


def test_keys_of_another_type_harm_no_other_list(
    run_node: RunNode, group: GroupWire, raw: redis.Redis, keys: Keys
) -> None:
    """Somebody else wrote where the group's are: the node serves all else, and stops in order."""
    raw.set(keys.group_leases("bad"), "mine")
    raw.set(keys.group_claimed("worse"), "mine")
    node = run_node("n1", env=member_of(f"bad,{GROUP},worse"))
    jobs = [group.script("true"), group.script("true", node="n1")]
    raw.rpush(keys.group_commands("worse"), group.payload("bash", {"script": "true"}, id="w"))
    assert {result["state"] for result in group.results(jobs).values()} == {"SUCCESS"}
    assert raw.llen(keys.group_commands("worse")) == 1
    raw.delete(keys.group_leases("bad"), keys.group_claimed("worse"))
    raw.rpush(keys.group_commands("bad"), group.payload("bash", {"script": "true"}, id="b"))
    assert {result["state"] for result in group.results(["w", "b"]).values()} == {"SUCCESS"}
    raw.delete(keys.group_leases("bad"))
    raw.set(keys.group_leases("bad"), "mine")
    assert node.stop() == 0
    assert group.members() == []
