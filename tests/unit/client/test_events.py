"""Following events: which are wanted, what is junk, what is said of those that were not heard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from corex.effects import Listen, Sleep, Subscribe
from corex.events import Event, EventGap, decode_event, follow_events
from corex_shared.errors import DecodeError, InvalidIdError, StoreUnavailableError, WaitTimeout
from tests.unit.client.playing import Clock, make_core, play

GONE = StoreUnavailableError("gone")


def told(event: str, node: str = "n1", **fields: Any) -> bytes:
    return json.dumps({"event": event, "node": node, "time": 5, **fields}).encode()


def followed(*payloads: bytes, **options: Any) -> list[Event]:
    globs = options.pop("globs", ["*"])
    played = play(follow_events(make_core(), globs, 60, **options), None, list(payloads))
    assert played.effects[0] == Subscribe(["corex:events"])
    return played.emitted


def test_what_is_known_has_a_name_and_all_else_is_kept() -> None:
    """As it was published, it can be written again."""
    payload = told("job.finished", job="a", code=0, tags=["x"], fields=1, new={"a": None}, by=None)
    event = decode_event(payload)
    assert (event.event, event.node, event.time, event.job) == ("job.finished", "n1", 5, "a")
    assert (event.code, event.tags, event.by) == (0, ["x"], "")
    assert event.fields == {"fields": 1, "new": {"a": None}}
    expected = json.loads(payload)
    del expected["by"]
    assert decode_event(told("node.started", seq=1)).as_map()["seq"] == 1
    assert {name: event.as_map().get(name) for name in ("job", "code", "new")} == {
        name: expected[name] for name in ("job", "code", "new")
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"junk",
        b"[]",
        b"{}",
        b'{"event": "x", "node": "n"}',
        told("x", code="1"),
        told("x", seq=-1),
        told("x", duration=10**400),
        told("x", tags=[1]),
        b'{"a":' * 100_000,
    ],
    ids=range(9),
)
def test_junk_is_no_event(payload: bytes) -> None:
    """Whoever may publish can publish it: it is passed over."""
    with pytest.raises(DecodeError):
        decode_event(payload)
    assert [event.event for event in followed(payload, told("good"))] == ["good"]


def test_nodes_kinds_and_jobs_are_chosen() -> None:
    """A kind is a whole one, or the part before the dot."""
    payloads = [
        told("node.started"),
        told("job.started", job="a"),
        told("job.finished", job="a"),
        told("job.finished", "n2", job="b"),
        told("jobless"),
        told("reaped", job="a"),
    ]

    def kinds(**options: Any) -> list[str]:
        return [f"{event.event} {event.job}" for event in followed(*payloads, **options)]

    assert kinds(kinds=["job"]) == ["job.started a", "job.finished a", "job.finished b"]
    assert kinds(kinds=["node", "reaped"]) == ["node.started ", "reaped a"]
    assert kinds(kinds=["job.finished"], globs=["n2", "x*"]) == ["job.finished b"]
    assert kinds(job="a", kinds=["job.finished"]) == ["job.finished a"]
    with pytest.raises(InvalidIdError):
        followed(job="no job")


def test_a_jump_in_the_numbers_of_a_node_is_a_gap() -> None:
    """Each node has its own numbers; a new agent begins anew; what comes twice is no gap."""
    events = followed(
        told("a", seq=7),
        told("b", "n2", seq=100),
        told("c", seq=11),
        told("d"),
        told("e", seq=12),
        told("e", seq=12),
        told("f", seq=13),
        told("node.started", seq=1),
        told("g", seq=3),
        kinds=["c", "e", "f", "g"],
    )
    seen = [event.event for event in events]
    assert seen == ["gap", "c", "e", "e", "f", "gap", "g"]
    gaps = [event for event in events if isinstance(event, EventGap)]
    assert [(gap.node, gap.count, gap.why) for gap in gaps] == [
        ("n1", 3, "3 events were not heard of node n1"),
        ("n1", 1, "1 event was not heard of node n1"),
    ]
    assert gaps[0].as_map() == {
        "event": "gap",
        "node": "n1",
        "time": 5,
        "why": "3 events were not heard of node n1",
        "count": 3,
    }


def test_a_lost_connection_is_told_and_then_what_was_missed() -> None:
    clock = Clock()
    plan = follow_events(make_core(clock), ["*"], 60)
    heard = [told("a", seq=1)], GONE, None, [told("b", seq=5)]
    played = play(plan, None, *heard, clock=clock)
    assert [event.event for event in played.emitted] == ["a", "gap", "gap", "gap", "b"]
    lost, back, missing = played.emitted[1:4]
    assert (lost.why, lost.node, lost.count) == ("nothing is heard: gone", "", None)
    assert "connected again" in back.why
    assert missing.count == 3
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [Subscribe, Listen, Listen, Sleep, Subscribe, Listen, Listen]


def test_that_redis_cannot_be_reached_is_told_once() -> None:
    """Not at every try; whoever waits for events knows that none can come."""
    clock = Clock()
    plan = follow_events(make_core(clock), ["*"], 60)
    played = play(plan, GONE, GONE, GONE, None, [told("a")], clock=clock)
    assert [event.event for event in played.emitted] == ["gap", "gap", "a"]


def test_it_ends_with_its_time() -> None:
    clock = Clock()
    plan = follow_events(make_core(clock), ["*"], 3)

    def listen(effect: Any) -> list[bytes]:
        clock.now += effect.seconds
        return []

    with pytest.raises(WaitTimeout, match="events"):
        play(plan, None, listen, listen, listen, listen, clock=clock)
