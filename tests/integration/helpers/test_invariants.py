"""The checker of the fault suite finds each kind of violation, made by hand."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.invariants import Allowed, Footprint, Inspection, Report
from tests.helpers.orders import BadPayload, Order, Orders
from tests.helpers.trace import Line, Trace
from tests.helpers.wire import Wire

MB = 1 << 20


class Scene:
    """What a scenario leaves behind: in good order, until a test disturbs it."""

    def __init__(self, wire: Wire, folder: Path) -> None:
        self.wire = wire
        self.redis = wire.redis
        self.keys = wire.keys
        self.orders = Orders()
        self.lines: list[Line] = []
        self.allowed = Allowed()
        self.folder = folder

    def order(self, job: str, **fields: Any) -> Order:
        return self.orders.add(Order(job, "some", **fields))

    def result(self, job: str, state: str = "SUCCESS", code: int = 0, **more: Any) -> None:
        fields = {"id": job, "state": state, "code": code, "streams": ["", ""], **more}
        self.redis.rpush(self.keys.result(job), json.dumps(fields))
        self.redis.expire(self.keys.result(job), 300)

    def ran(self, job: str, code: int = 0, found: str = "free", token: str = "") -> None:
        self.lines.append(Line(job, True, found=found, token=token))
        self.lines.append(Line(job, False, code=code))

    def done(self, job: str, **fields: Any) -> Order:
        """A job with which all is well."""
        order = self.order(job, **fields)
        self.ran(job)
        self.result(job)
        return order

    def log(self, job: str, *messages: tuple[int, int, str], first: int = 1) -> None:
        """Write messages: seq, flags, text."""
        for at, (seq, flags, text) in enumerate(messages, first):
            message = {"seq": seq, "flags": flags, "level": 1, "message": text}
            self.redis.xadd(self.keys.log(job), {"m": json.dumps(message)}, id=f"{at}-0")
        self.redis.expire(self.keys.log(job), 300)

    def reject(self, code: int = 409, payload: str = "", **fields: Any) -> None:
        entry = {"code": code, "payload": payload, **fields}
        self.redis.lpush(self.keys.rejected("n1"), json.dumps(entry))
        self.redis.expire(self.keys.rejected("n1"), 300)

    def report(self) -> Report:
        look = Inspection(self.wire, ["n1"], self.orders, self.lines, self.allowed, ["g1"])
        return look.report()

    def finds(self, *texts: str) -> Report:
        report = self.report()
        assert len(report.violations) == len(texts), report.text()
        for text, violation in zip(texts, report.violations, strict=True):
            assert text in violation
        with pytest.raises(AssertionError, match="violations"):
            report.check()
        return report


@pytest.fixture
def scene(raw: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[Scene]:
    yield Scene(Wire(raw, keys, "n1"), tmp_path)
    for key in raw.scan_iter(match=f"{keys.namespace}:*"):
        raw.delete(key)


def test_good_order_is_no_violation(scene: Scene) -> None:
    scene.done("a")
    scene.done("b", queue="q")
    scene.done("c", queue="q")
    scene.done("twice", pushed=2)
    scene.reject(id="twice")
    scene.orders.bad.append(BadPayload("mark"))
    scene.reject(400, "has the mark in it")
    scene.done("s", streams=True, output=None)
    scene.log("s", (0, 0, "x"), (1, 2, ""))
    report = scene.report().check()
    assert (report.jobs, report.lost, report.missing, report.doubles) == (6, 0, 0, 0)


def test_all_is_told_at_once_with_the_seed_and_the_jobs(scene: Scene) -> None:
    scene.order("a")
    scene.done("b")
    scene.ran("b")
    scene.redis.hset(scene.keys.state("b"), "stage", "finished")
    scene.redis.expire(scene.keys.state("b"), 300)
    report = scene.report()
    report.scenario, report.seed = "storm", "77"
    assert (report.missing, report.doubles) == (1, 1)
    with pytest.raises(AssertionError) as error:
        report.check()
    for text in ("storm seed=77", "a has no result", "b ran 2 times", "'stage': 'finished'"):
        assert text in str(error.value)


# -- results --------------------------------------------------------------------------------------


def test_no_result(scene: Scene) -> None:
    scene.order("a")
    assert scene.finds("a has no result").missing == 1


def test_two_results(scene: Scene) -> None:
    scene.done("a")
    scene.result("a")
    scene.finds("a has 2 results")


def test_a_result_that_was_replaced(scene: Scene) -> None:
    scene.done("a").known = {"state": "LOST", "code": 503, "streams": ["", ""]}
    scene.allowed = Allowed(deaths=1, slots=8)
    scene.finds("its result was replaced")


def test_a_result_that_was_seen_and_is_gone(scene: Scene) -> None:
    scene.order("a").known = {"state": "SUCCESS", "code": 0, "streams": ["", ""]}
    scene.ran("a")
    scene.finds("was seen and is gone")


def test_a_client_may_take_its_result_away(scene: Scene) -> None:
    order = scene.order("a")
    order.kind, order.known = "client", {"state": "SUCCESS", "code": 0, "streams": ["", ""]}
    scene.ran("a")
    scene.report().check()


def test_a_state_that_nothing_explains(scene: Scene) -> None:
    scene.order("a")
    scene.ran("a", 1)
    scene.result("a", "ERROR", 500)
    scene.finds("a ended as ERROR 500")
    scene.allowed = Allowed(states=frozenset({("ERROR", 500)}))
    scene.report().check()


def test_lost_without_a_death(scene: Scene) -> None:
    scene.order("a")
    scene.result("a", "LOST", 503)
    scene.finds("a ended as LOST", "1 jobs are LOST, at most 0")


def test_lost_though_it_was_to_be_run_again(scene: Scene) -> None:
    scene.order("a", retries=True)
    scene.result("a", "LOST", 503)
    scene.allowed = Allowed(deaths=1, slots=8)
    scene.finds("a ended as LOST")


def test_more_lost_than_can_have_run(scene: Scene) -> None:
    for job in "abc":
        scene.order(job)
        scene.result(job, "LOST", 503)
    scene.allowed = Allowed(deaths=1, slots=2)
    assert scene.finds("3 jobs are LOST, at most 2 can have run").lost == 3


def test_two_lost_of_a_queue_at_one_death(scene: Scene) -> None:
    for job in "ab":
        scene.order(job, queue="q")
        scene.result(job, "LOST", 503)
    scene.allowed = Allowed(deaths=1, slots=8)
    scene.finds("queue q: 2 LOST")


def test_a_success_that_did_not_run(scene: Scene) -> None:
    scene.order("a")
    scene.result("a")
    scene.finds("a is a SUCCESS and no run of it was")


def test_a_success_whose_run_did_not_end(scene: Scene) -> None:
    scene.order("a")
    scene.lines.append(Line("a", True))
    scene.result("a")
    scene.finds("a is a SUCCESS and no run of it was")


def test_an_exit_code_that_no_run_had(scene: Scene) -> None:
    scene.order("a", states=frozenset({"ERROR"}))
    scene.ran("a", 3)
    scene.result("a", "ERROR", 1007)
    scene.finds("a is ERROR 1007, no run ended so")


def test_what_was_refused_and_ran(scene: Scene) -> None:
    scene.order("a", states=frozenset({"EXPIRED"}), runs=0)
    scene.ran("a")
    scene.result("a", "EXPIRED", 410)
    scene.finds("a ended as EXPIRED, and ran", "a ran 1 times, 0 allowed")


def test_survivors(scene: Scene) -> None:
    scene.order("a")
    scene.ran("a")
    scene.result("a", survivors=2)
    scene.finds("a left 2 processes")


def test_output_that_is_not_whole(scene: Scene) -> None:
    scene.order("a", output="one\ntwo\n")
    scene.ran("a")
    scene.result("a", streams=["one\n", ""])
    scene.finds("its output is not whole")


def test_what_a_client_met(scene: Scene) -> None:
    scene.orders.trouble.append("a client that waits: WaitTimeout")
    scene.finds("WaitTimeout")


# -- runs -----------------------------------------------------------------------------------------


def test_a_double_run(scene: Scene) -> None:
    scene.done("a")
    scene.ran("a")
    scene.allowed = Allowed(deaths=5, slots=8)  # is no excuse
    assert scene.finds("a ran 2 times, 1 allowed").doubles == 1


@pytest.mark.parametrize(
    "fields, runs",
    [({"runs": 3}, 3), ({"retries": True}, 2), ({"runs": None}, 9)],
    ids=["max_restart", "on_lost", "recurring"],
)
def test_runs_that_were_asked_for(scene: Scene, fields: dict[str, Any], runs: int) -> None:
    scene.done("a", **fields)
    scene.allowed = Allowed(deaths=1, slots=8)
    for _ in range(runs - 1):
        scene.ran("a")
    scene.report().check()


def test_a_double_run_of_what_nobody_knows(scene: Scene) -> None:
    scene.ran("stranger")
    scene.report().check()
    scene.ran("stranger")
    assert scene.finds("stranger, whose push failed, ran 2 times").doubles == 1


def test_overlapping_runs(scene: Scene) -> None:
    scene.done("a", queue="q")
    scene.order("b", queue="q")
    scene.result("b")
    scene.ran("b", found="a")
    scene.finds("b ran beside a")


def test_a_job_beside_a_run_of_its_own(scene: Scene) -> None:
    scene.done("a", retries=True)
    scene.ran("a", found="a")
    scene.allowed = Allowed(deaths=1, slots=8)
    scene.finds("a ran beside a run of its own")


def test_what_is_cut_off_may_go_on_beside_its_successor(scene: Scene) -> None:
    scene.order("a", queue="q")
    scene.result("a", "LOST", 503)
    scene.order("b", queue="q")
    scene.result("b")
    scene.ran("a")
    scene.ran("b", found="a")
    scene.allowed = Allowed(deaths=1, slots=8, overlaps=True)
    scene.report().check()


def test_a_queue_out_of_order(scene: Scene) -> None:
    scene.order("a", queue="q")
    scene.done("b", queue="q")
    scene.ran("a")
    scene.result("a")
    scene.finds("queue q: b began before a")


@pytest.mark.parametrize("second", ["3", "2"])
def test_tokens_that_do_not_rise(scene: Scene, second: str) -> None:
    for job, token in (("a", "3"), ("b", second)):
        scene.order(job, queue="q", fleet=True)
        scene.ran(job, token=token)
        scene.result(job)
    scene.finds(f"b has token {second} after 3")


def test_no_token(scene: Scene) -> None:
    scene.done("a", queue="q", fleet=True)
    scene.finds("a has no fencing token")


# -- what is not taken ----------------------------------------------------------------------------


def test_a_duplicate_that_nobody_is_told_of(scene: Scene) -> None:
    scene.done("a", pushed=2)
    scene.finds("0 duplicates told of, 1 to 1 pushed")
    scene.allowed = Allowed(breaks=True)
    scene.report().check()


def test_a_duplicate_that_was_none(scene: Scene) -> None:
    scene.done("a")
    scene.reject(id="a")
    scene.finds("1 duplicates told of, 0 to 0 pushed")


def test_one_that_may_have_been_pushed_twice(scene: Scene) -> None:
    scene.done("a", perhaps=1)
    scene.report().check()
    scene.reject(id="a")
    scene.report().check()


def test_a_bad_payload_that_vanished(scene: Scene) -> None:
    scene.orders.bad.append(BadPayload("mark"))
    scene.finds("the bad payload mark is 0 times in the rejected list")


def test_a_bad_payload_that_was_kept_twice(scene: Scene) -> None:
    scene.orders.bad.append(BadPayload("mark"))
    scene.reject(400, "mark")
    scene.reject(400, "mark")
    scene.finds("the bad payload mark is 2 times in the rejected list")


# -- logs -----------------------------------------------------------------------------------------


def test_a_gap(scene: Scene) -> None:
    scene.done("a", streams=True)
    scene.log("a", (0, 0, "x"), (2, 0, "y"), (3, 2, ""))
    scene.finds("the log of a has gaps: 0→2")


@pytest.mark.parametrize(
    "last",
    [[(1, 0, "")], [(1, 2, ""), (2, 2, "")], [(1, 2, ""), (2, 0, "")]],
    ids=["none", "two", "before the end"],
)
def test_not_exactly_one_last_message_at_the_end(
    scene: Scene, last: list[tuple[int, int, str]]
) -> None:
    scene.done("a", streams=True)
    scene.log("a", (0, 0, "x"), *last)
    scene.finds("last messages")


def test_a_log_without_anything(scene: Scene) -> None:
    scene.done("a", streams=True)
    scene.finds("the log of a has 0 last messages")


def test_a_log_without_all_output(scene: Scene) -> None:
    scene.order("a", streams=True, output="xy")
    scene.ran("a")
    scene.result("a", streams=["xy", ""])
    scene.log("a", (0, 0, "x"), (1, 2, ""))
    scene.finds("the log of a does not have its output")


def test_a_follower_who_heard_something_else(scene: Scene) -> None:
    scene.order("a", streams=True, output="xy").followed = "y"
    scene.ran("a")
    scene.result("a", streams=["xy", ""])
    scene.log("a", (0, 0, "xy"), (1, 2, ""))
    scene.finds("who followed a heard something else")


# -- what is left ---------------------------------------------------------------------------------


def _claimed(keys: Keys) -> str:
    return keys.claimed("n1")


def _group_claimed(keys: Keys) -> str:
    return keys.group_claimed("g1")


@pytest.mark.parametrize("key", [_claimed, _group_claimed])
def test_something_claimed(scene: Scene, key: Callable[[Keys], str]) -> None:
    scene.redis.hset(key(scene.keys), "@1", "payload")
    scene.finds("1 left in")


def _commands(keys: Keys) -> str:
    return keys.commands("n1")


def _control(keys: Keys) -> str:
    return keys.control("n1")


def _group_commands(keys: Keys) -> str:
    return keys.group_commands("g1")


@pytest.mark.parametrize("key", [_commands, _control, _group_commands])
def test_something_that_waits(scene: Scene, key: Callable[[Keys], str]) -> None:
    scene.redis.rpush(key(scene.keys), "payload")
    scene.finds("1 wait in")


@pytest.mark.parametrize("name", ["state", "result", "log", "inbox", "queue_owner"])
def test_a_key_that_will_never_go(scene: Scene, name: str) -> None:
    key = getattr(scene.keys, name)("a")
    if name == "result":
        scene.done("a")
        scene.redis.persist(key)
    elif name == "log":
        scene.redis.xadd(key, {"m": "x"})
    elif name == "inbox":
        scene.redis.rpush(key, "x")
    else:
        scene.redis.hset(key, "stage", "finished")
    scene.finds("has no TTL")


def test_a_key_that_nobody_knows(scene: Scene) -> None:
    scene.redis.set(f"{scene.keys.namespace}:{{node:n1}}:surprise", "x", ex=60)
    scene.finds("no such key is in the table: {node:n1}:surprise")


def test_a_key_of_another_type(scene: Scene) -> None:
    scene.redis.set(scene.keys.state("a"), "x", ex=60)
    scene.finds("{job:a}:state is a string, not a hash")


def test_a_process_that_is_left(scene: Scene) -> None:
    mark = f"{scene.keys.namespace}/n1@0"
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, "COREX_JOB_NODE": mark})
    try:
        scene.finds("1 processes of jobs are left")
    finally:
        left.kill()
        left.wait()


def test_an_agent_that_grows() -> None:
    before = Footprint(1, descriptors=40, rss=100 * MB)
    assert Footprint(1, 44, 120 * MB).grown(before) == []
    assert Footprint(2, 400, 900 * MB).grown(before) == []  # another agent
    assert len(Footprint(1, 90, 100 * MB).grown(before)) == 1
    assert len(Footprint(1, 90, 200 * MB).grown(before)) == 2


def test_a_footprint_is_of_the_agent_and_its_children() -> None:
    alone = Footprint.of(os.getpid())
    child = subprocess.Popen(["sleep", "60"])
    try:
        both = Footprint.of(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert both.descriptors > alone.descriptors
    assert both.rss > alone.rss


# -- traces ---------------------------------------------------------------------------------------


def _run(script: str, job: str, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], env={**os.environ, "COREX_JOB_ID": job, **more})


def test_a_trace_tells_beginning_end_and_code(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t")
    assert _run(trace.script("exit 7"), "a", COREX_FENCING_TOKEN="5").wait() == 7
    begin, end = trace.lines()
    assert (begin.job, begin.begins, begin.found, begin.token) == ("a", True, "free", "5")
    assert (end.job, end.begins, end.code) == ("a", False, 7)
    assert begin.pid == end.pid
    assert 0 < begin.uptime <= end.uptime
    assert trace.begun() == 1


def test_a_run_that_finds_another_says_whose(tmp_path: Path) -> None:
    """Also when the other was killed and something of it is left."""
    trace = Trace(tmp_path / "t")
    go = tmp_path / "go"
    os.mkfifo(go)
    first = _run(trace.script(f"cat {go} >/dev/null", lock="q"), "first")
    with go.open("w"):  # the first is in its body now
        first.kill()
        first.wait()
        _run(trace.script(lock="q"), "second").wait()
    begins = [line for line in trace.lines() if line.begins]
    assert [(line.job, line.found) for line in begins] == [("first", "free"), ("second", "first")]


def test_runs_one_after_the_other_find_their_lock_free(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t")
    for job in "ab":
        _run(trace.script("true", lock="q"), job).wait()
    assert [line.found for line in trace.lines() if line.begins] == ["free", "free"]
