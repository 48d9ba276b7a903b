"""Records that somebody else wrote, and what else may be found where a run should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from corex import Client, DecodeError, JobState, NoSuchRunError, Outcome, StoreRefusedError
from corex.fleet.record import Entry, Mark, RunRecord, encode_record, outcome_entry
from corex_shared.keys import Keys
from corex_shared.models import Command, JobResult
from tests.integration.client.hand import HandNode, meanwhile


def record(run: str = "r", **fields: Any) -> RunRecord:
    """Make a record of a run on two nodes, that begins now."""
    known: dict[str, Any] = {
        "command": Command("core.ping"),
        "nodes": ("h1", "h2"),
        "encoding": "msgpack",
        "timeout": 60,
        "started": time.time_ns() // 1_000_000,
        "by": "c1",
    }
    return RunRecord(run, **(known | fields))


@pytest.mark.parametrize(
    "payload, reason",
    [
        (b"", "record of run r"),
        (b"junk", "record of run r"),
        (b"\x80", "record of run r: .*id"),
        (b"\xc1" * 100, "record of run r"),
        (b"\x91" * 100_000 + b"\x90", "record of run r"),
        (encode_record(record("other")), "id: it is of another run"),
        (encode_record(record(nodes=())), "nodes"),
        (encode_record(record(nodes=("a}:x",))), "node ID"),
        (encode_record(record(nodes=("a", "a"))), "nodes: one is there twice"),
        (encode_record(record(nodes=("@a b",))), "group ID"),
        (encode_record(record(timeout=float("nan"))), "timeout"),
        (encode_record(record(timeout=-1.0)), "timeout"),
        (encode_record(record(batch=0)), "batch: a whole number"),
        (encode_record(record(by="a b")), "by"),
        (encode_record(record(encoding="xml")), "encoding"),
    ],
)
def test_what_is_no_record_is_an_error_that_says_so(
    cx: Client, raw: redis.Redis, keys: Keys, payload: bytes, reason: str
) -> None:
    """It names the run and the field; nothing is pushed anywhere."""
    raw.set(keys.run_record("r"), payload)
    with pytest.raises(DecodeError, match=reason):
        cx.run("r")
    assert raw.keys(f"{keys.namespace}:*") == [keys.run_record("r").encode()]


def test_a_record_of_another_type(cx: Client, raw: redis.Redis, keys: Keys) -> None:
    """The error names the run."""
    raw.rpush(keys.run_record("r"), "x")
    with pytest.raises(StoreRefusedError, match="record of run r: WRONGTYPE"):
        cx.run("r")


@pytest.mark.parametrize("name", ["run_journal", "run_driver", "run_token", "run_cancel"])
def test_keys_of_another_type_beside_it(
    cx: Client, raw: redis.Redis, keys: Keys, name: str
) -> None:
    """Nobody waits for ever: the error names the run, and nothing was pushed."""
    raw.set(keys.run_record("r"), encode_record(record()))
    raw.zadd(getattr(keys, name)("r"), {"x": 1})
    run = cx.run("r")
    with pytest.raises(StoreRefusedError, match="run r: "):
        run.results()
    assert not raw.exists(keys.commands("h1"))


def entries() -> list[bytes]:
    """Entries of a journal that make no sense, or are of nodes that the run has not."""
    ok = JobResult("r.0", "core.ping", "h1", JobState.SUCCESS, 0)
    encode = msgspec.msgpack.encode
    return [
        b"",
        b"junk",
        b"\xc1",
        b"\x91" * 100_000,
        encode({"index": -1}),
        encode({"index": 0}),
        encode({"index": "0", "outcome": None}),
        encode({"index": 2**63, "mark": {"by": "c", "at": 1}}),
        outcome_entry(2, Outcome("h3", "finished", ok)),
        outcome_entry(0, Outcome("h2", "finished", ok)),
        outcome_entry(0, Outcome("elsewhere", "finished", ok)),
        encode({"index": 0, "outcome": {"node": "h1", "status": "splendid"}}),
        encode({"index": 0, "outcome": {"node": "h1", "status": "finished", "result": 7}}),
        encode({"index": 0, "mark": {"by": "a b", "at": 1}}),
        encode(Entry(5, mark=Mark("c1", 1))),
    ]


def test_entries_that_make_no_sense_are_passed_over(
    cx: Client, raw: redis.Redis, keys: Keys
) -> None:
    """The nodes are asked themselves; each has one outcome, and no other node has one."""
    raw.set(keys.run_record("r"), encode_record(record()))
    raw.rpush(keys.run_journal("r"), *entries())
    hands = [HandNode(raw, keys, name) for name in ("h1", "h2")]
    for hand in hands:
        hand.announce()
    with meanwhile(lambda: [hand.finish(hand.take()) for hand in hands]):
        outcomes = cx.run("r").results()
    assert [(outcome.node, outcome.ok) for outcome in outcomes] == [("h1", True), ("h2", True)]


def test_an_outcome_that_somebody_wrote_twice_counts_once(
    cx: Client, raw: redis.Redis, keys: Keys
) -> None:
    """The first one."""
    raw.set(keys.run_record("r"), encode_record(record(nodes=("h1",))))
    for reason in ("first", "second"):
        raw.rpush(keys.run_journal("r"), outcome_entry(0, Outcome("h1", "skipped", reason=reason)))
    assert [outcome.reason for outcome in cx.run("r").results()] == ["first"]


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda raw, key: raw.rpush(key, b"junk"), "its result cannot be read: payload"),
        (lambda raw, key: raw.rpush(key, b"\x80"), "its result cannot be read: id"),
    ],
)
def test_a_result_that_cannot_be_read(
    cx: Client, raw: redis.Redis, keys: Keys, spoil: Callable[[Any, str], None], reason: str
) -> None:
    """It is a failure that says so; the other nodes are as they are."""
    hands = [HandNode(raw, keys, name) for name in ("h1", "h2")]
    for hand in hands:
        hand.announce()
    run = cx.fleet("h1,h2").submit("core.ping")
    spoil(raw, keys.result(run.jobs[0]))
    with meanwhile(lambda: hands[1].finish(hands[1].take())):
        first, second = run.results()
    assert (first.status, first.ok, first.result) == ("finished", False, None)
    assert first.reason.startswith(reason)
    assert second.ok


def test_an_old_run_of_which_only_the_record_is_left(
    cx: Client, raw: redis.Redis, keys: Keys
) -> None:
    """Its time is up: what was never started is not started now."""
    raw.set(keys.run_record("r"), encode_record(record(timeout=5, started=1)))
    outcomes = cx.run("r").results()
    assert {outcome.status for outcome in outcomes} == {"skipped"}
    assert not raw.exists(keys.commands("h1"))


def test_a_record_that_goes_away_is_written_again(cx: Client, raw: redis.Redis, keys: Keys) -> None:
    """Whoever drives the run knows what was in it."""
    hands = [HandNode(raw, keys, name) for name in ("h1", "h2")]
    for hand in hands:
        hand.announce()
    run = cx.fleet("h1,h2").submit("core.ping", batch=1)
    outcomes = run.outcomes()
    with meanwhile(lambda: hands[0].finish(hands[0].take())):
        assert next(outcomes).ok
    raw.delete(*raw.keys(f"{keys.namespace}:{{run:*"))
    with pytest.raises(NoSuchRunError):
        cx.run(run.id)
    with meanwhile(lambda: hands[1].finish(hands[1].take())):
        assert next(outcomes).ok
    assert list(outcomes) == []
    assert cx.run(run.id).results() == run.results()
    ttls = [raw.pttl(key) for key in raw.keys(f"{keys.namespace}:{{run:*")]
    assert ttls
    assert all(0 < ttl < 2 * 3_600_000 + 1000 for ttl in ttls)
