"""Recurring jobs, unscheduling and killing all; queues; `core.explain`: over the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire


def _answer(wire: Wire, command: str, arguments: dict[str, Any] | None = None) -> Any:
    result = wire.result(wire.push(command, arguments or {}, control=True))
    assert result["state"] == "SUCCESS", result
    return json.loads(result["data"])


def _entries(wire: Wire, job: str) -> list[Pairs]:
    return [json.loads(m["message"]) for m in wire.log(job) if m["level"] == 30]


def test_each_run_of_a_recurring_job_is_in_its_log_and_an_event(wire: Wire) -> None:
    """With its outcome; one that fails changes no period; the one result comes at the end."""
    with wire.subscribed(wire.keys.events()) as heard:
        job = wire.script("exit $(($$ % 2))", recurring_period=1, stream=True)
        eventually(lambda: len(_entries(wire, job)) >= 2, "two runs", seconds=15)
        assert _answer(wire, "job.unschedule", {"id": job}) is True
        result = wire.result(job)
        entries = _entries(wire, job)
        events = [event for event in heard() if event.get("job") == job and "run" in event]
    assert result["state"] in ("SUCCESS", "ERROR")
    assert result["attempts"] == len(entries)
    assert [entry["run"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["next"] for entry in entries} == {1000}
    assert {event["event"] for event in events} == {"recurring"}
    assert {(event["node"], event["command"]) for event in events} == {(wire.node, "bash")}
    assert [event["code"] for event in events] == [entry["code"] for entry in entries]
    assert all(event["time"] > 0 for event in events)


def test_unschedule_of_nobody(wire: Wire) -> None:
    """There is nothing to unschedule."""
    assert _answer(wire, "job.unschedule", {"id": "nobody"}) is False


def test_killall_ends_all_but_the_one_that_asks(wire: Wire) -> None:
    """Running, queued and recurring jobs; it answers true itself."""
    queue = f"q-{wire.new_id()}"
    jobs = [wire.script("sleep 30", queue=queue) for _ in range(3)]
    jobs += [wire.script("sleep 30"), wire.script("true", recurring_period=60)]
    for job in jobs:
        eventually(lambda job=job: wire.state(job), f"{job} is there")  # type: ignore[misc]
    assert _answer(wire, "job.killall") is True
    results = wire.results(jobs)
    assert {result["state"] for result in results.values()} == {"KILLED"}


def test_queues_are_listed_and_released(wire: Wire, tmp_path: Path) -> None:
    """A holder that hangs gives its queue to the next, and runs on; an unknown queue is false."""
    queue, told = f"q-{wire.new_id()}", tmp_path / "told"
    holder = wire.script("sleep 30", queue=queue)
    wire.wait_stage(holder, "running")
    waiters = [wire.script(f"echo {number} >> {told}", queue=queue) for number in range(3)]
    wire.wait_stage(waiters[-1], "waiting")
    [listed] = [entry for entry in _answer(wire, "queue.list") if entry["queue"] == queue]
    assert (listed["holder"], listed["stage"], listed["waiters"]) == (holder, "running", waiters)
    assert _answer(wire, "queue.release", {"queue": queue}) is True
    wire.results(waiters)
    assert told.read_text().split() == ["0", "1", "2"]
    assert "state" not in wire.state(holder)
    assert _answer(wire, "queue.release", {"queue": queue}) is False
    _answer(wire, "job.kill", {"id": holder})
    assert wire.result(holder)["state"] == "KILLED"


def test_explain_a_program(wire: Wire) -> None:
    """What would be run, as whom, with which rights, and when; nothing is run."""
    told = _answer(
        wire,
        "core.explain",
        {"command": "core.system", "arguments": {"name": "sh", "args": ["-c", "exit 1"]}},
    )
    assert (told["allowed"], told["rule"], told["kind"]) == (True, "", "program")
    assert told["binary"] in ("/usr/bin/sh", "/bin/sh")
    assert isinstance(told["capabilities"], list)
    assert (told["queue"], told["position"], told["waits_for"]) == (None, 0, None)


def test_explain_a_place_in_a_queue(wire: Wire) -> None:
    """How many are before it, and who holds the queue."""
    queue = f"q-{wire.new_id()}"
    holder = wire.script("sleep 30", queue=queue)
    wire.wait_stage(holder, "running")
    told = _answer(wire, "core.explain", {"command": "core.ping", "queue": queue})
    assert (told["position"], told["waits_for"], told["holder"]) == (1, "queue", holder)
    _answer(wire, "job.kill", {"id": holder})
    wire.result(holder)


@pytest.mark.parametrize(
    "asked, rule, state, code",
    [
        ({"command": "core.nothing"}, "command", "UNKNOWN_CMD", 404),
        ({"command": "core.ping", "expires_at": 1}, "expires_at", "EXPIRED", 410),
        ({"command": "core.ping", "queue_scope": "fleet"}, "queue_scope", "REJECTED", 400),
        ({"command": "job.list", "arguments": {"id": 7}}, "id", "ERROR", 400),
        ({"command": "core.ping", "arguments": {"x": 7}}, "x", "ERROR", 400),
        ({"command": "core.system", "arguments": {"name": "no-such"}}, "name", "ERROR", 404),
        (
            {"command": "core.system", "arguments": {"name": "sh", "user": "no-such"}},
            "user",
            "ERROR",
            404,
        ),
        (
            {"command": "core.system", "arguments": {"name": "sh", "dir": "/no-such"}},
            "dir",
            "ERROR",
            404,
        ),
    ],
)
def test_explain_why_not(
    wire: Wire, asked: dict[str, Any], rule: str, state: str, code: int
) -> None:
    """The rule that forbids it is that of the result which the command itself has."""
    told = _answer(wire, "core.explain", asked)
    assert (told["allowed"], told["rule"]) == (False, rule)
    assert (told["state"], told["code"]) == (state, code)
    fields = {key: value for key, value in asked.items() if key not in ("command", "arguments")}
    result = wire.result(wire.push(asked["command"], asked.get("arguments"), **fields))
    assert (result["state"], result["code"]) == (state, code)
    assert json.loads(result["data"]) == told["reason"]


@pytest.mark.parametrize(
    "command, arguments, named",
    [
        ("job.unschedule", {}, "id"),
        ("job.unschedule", {"id": 1}, "id"),
        ("job.killall", {"x": 1}, "x"),
        ("queue.list", {"x": 1}, "x"),
        ("queue.release", {}, "queue"),
        ("queue.release", {"queue": None}, "queue"),
        ("queue.release", {"queue": ""}, "queue"),
        ("queue.release", {"queue": "no such name: even this"}, "queue"),
        ("queue.release", {"queue": "no such name}", "scope": "fleet"}, "queue"),
        ("core.subscribe", {}, "id"),
        ("core.explain", {}, "command"),
        ("core.explain", {"command": "core.ping", "id": "a b"}, "id"),
    ],
)
def test_a_wrong_argument_is_named(
    wire: Wire, command: str, arguments: dict[str, Any], named: str
) -> None:
    """It is a 400."""
    result = wire.result(wire.push(command, arguments, control=True, stream=True))
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith(f"{named}: ")
