"""Events that wait: bounded, numbered, the node's own life spared; and what they say in short."""

from __future__ import annotations

import json
from typing import Any

import pytest

from corex_node.config_tables import EventsTable
from corex_node.events import Events
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.registry import Entry, Kind
from corex_node.manager.signatures import Passing
from corex_node.ticket import Source, Ticket
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState

ALWAYS = EventsTable(jobs="always")
MOST = 10_000


def a_job(name: str = "core.ping", arguments: dict[str, Any] | None = None, **more: Any) -> Job:
    command = Command(name, arguments, id=more.pop("id", "j"), **more)
    entry = Entry(name, Kind.INLINE, dict, lambda: None, Passing.OPEN)
    return Job(command, entry, Demand(False, frozenset()), Ticket(Source.COMMANDS, 1, "@1"))


def an_end(events: Events, state: JobState = JobState.SUCCESS, killed_by: str = "") -> bool:
    result = JobResult("j", "core.ping", "n", state, 0)
    event = events.end_of(Ticket(Source.COMMANDS, 1, "@1"), result, killed_by)
    if event is not None:
        events.add(event)
    return event is not None


def taken(events: Events) -> list[dict[str, Any]]:
    return [json.loads(event) for event in events.take()]


def test_what_waits_is_bounded_and_the_oldest_events_of_jobs_make_room() -> None:
    """The node's own events stay; the numbers tell how many are missing."""
    events = Events("n", ALWAYS)
    events.node("node.lapsed")
    for number in range(MOST + 50):
        events.started(a_job(id=str(number)))
        if number == 40:
            events.node("node.returned")
    assert len(events) == MOST
    told = taken(events)
    assert [event["event"] for event in told[:3]] == ["node.lapsed", "node.returned", "job.started"]
    assert told[2]["job"] == "52"
    assert [event["seq"] for event in told] == list(range(53, 53 + MOST))
    events.started(a_job())
    assert [event["seq"] for event in taken(events)] == [53 + MOST]


def test_events_of_the_node_alone_are_bounded_too() -> None:
    """Those of its own life are spared while there are others, and no longer."""
    events = Events("n1", EventsTable(jobs="always"))
    for number in range(10_003):
        events.node("node.lapsed", number=number)
    assert [event["number"] for event in taken(events)] == list(range(3, 10_003))


def test_it_wakes_whoever_takes_them_once() -> None:
    """With the first that waits."""
    events, woken = Events("n", ALWAYS), []
    events.on_first = lambda: woken.append(len(events))
    for _ in range(3):
        events.started(a_job())
    events.take()
    events.started(a_job())
    assert woken == [1, 1]


def test_while_nobody_listens_one_event_now_and_then_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To see whether somebody does; then all are, until nobody does any more."""
    now = 1000.0
    monkeypatch.setattr("corex_node.events.time.monotonic", lambda: now)
    events = Events("n", EventsTable())
    events.told(heard=False)
    assert [an_end(events) for _ in range(3)] == [True, False, False]
    now += 0.2
    assert [an_end(events) for _ in range(2)] == [True, False]
    events.told(True)
    assert [an_end(events) for _ in range(3)] == [True, True, True]
    events.told(False)
    assert [an_end(events) for _ in range(2)] == [False, False]


@pytest.mark.parametrize("jobs, told", [("always", 4), ("never", 1)])
def test_of_jobs_as_the_settings_say(jobs: str, told: int) -> None:
    """The node's own life is told whatever they say, and whoever listens."""
    events = Events("n", EventsTable(jobs=jobs))
    for heard in (False, True):
        events.told(heard)
        events.node("node.started")
        events.started(a_job())
        events.accepted(a_job())
        an_end(events)
        assert len(events.take()) == told


def test_a_killer_is_named_of_what_was_killed_only() -> None:
    events = Events("n", ALWAYS)
    an_end(events, JobState.SUCCESS, "bob")
    an_end(events, JobState.KILLED, "bob")
    assert [event.get("killed_by") for event in taken(events)] == [None, "bob"]


@pytest.mark.parametrize(
    "name, arguments, what",
    [
        ("core.system", {"name": "ls", "args": ["-l", "a b", 7]}, "ls -l 'a b' 7"),
        ("core.system", {"name": "x" * 999}, "x" * 256),
        ("core.system", {"args": "ls"}, '{"args":"ls"}'),
        ("bash", {"script": "echo\necho", "stdin": "SECRET"}, "echo\necho"),
        ("bash", {}, ""),
        ("job.kill", {"id": "a1", "signal": 9}, '{"id":"a1","signal":9}'),
        ("x", {"block": b"SECRET", "env": {}, "bytes": b"\xff"}, '{"bytes":"/w=="}'),
        ("x", {"deep": {(1, 2): {b"k": float("nan")}}}, '{"deep":{"(1, 2)":{"aw==":null}}}'),
    ],
)
def test_arguments_in_short(name: str, arguments: dict[str, Any], what: str) -> None:
    """Whatever a caller sends is text of a bounded length, or nothing."""
    events = Events("n", EventsTable(jobs="always", arguments=True))
    events.started(a_job(name, arguments))
    assert taken(events)[0].get("what", "") == what


def test_tags_are_bounded() -> None:
    events = Events("n", ALWAYS)
    events.started(a_job(tags=["t" * 100_000] * 1000))
    assert taken(events)[0]["tags"] == ["t" * 64] * 16
