"""Bad input: each case gets what the protocol says, nothing is dropped, the agent goes on."""

from __future__ import annotations

import json
import time
from typing import Any

import msgpack
import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire

MIB = 1024 * 1024


def _rejected_with(wire: Wire, marker: str) -> Pairs:
    return wire.wait_rejected(lambda entry: marker in entry["payload"])


@pytest.mark.parametrize(
    "begin",
    [
        b"not a map",
        b"[1, 2]",
        b'"text"',
        b"{",
        b'{"tags": [],,}',
        b"\xff\xfe",
        b"\x00",
        b'{"id": "\xff',
        b"\xdf\xff\xff\xff\xff",
    ],
    ids=lambda payload: ascii(payload)[2:-1],
)
def test_unreadable(wire: Wire, begin: bytes) -> None:
    """A payload that is no map, or no whole one, is in `rejected` with the reason."""
    marker = wire.new_id()
    payload = begin + marker.encode()
    wire.push_bytes(payload)
    entry = _rejected_with(wire, marker)
    assert (entry["code"], entry["field"]) == (400, "payload")
    assert entry["reason"]
    assert entry["size"] == len(payload)
    assert "id" not in entry


def test_empty(wire: Wire) -> None:
    """An empty payload is rejected as such."""
    wire.redis.delete(wire.keys.rejected("n1"))
    wire.push_bytes(b"")
    entry = wire.wait_rejected(lambda entry: entry["payload"] == "")
    assert (entry["code"], entry["field"], entry["size"]) == (400, "payload", 0)
    assert "empty" in entry["reason"]


@pytest.mark.parametrize("fields", [{}, {"id": None}], ids=["absent", "null"])
def test_no_id(wire: Wire, fields: dict[str, Any]) -> None:
    """A command without an ID is rejected, the field named."""
    marker = wire.new_id()
    wire.push_bytes(json.dumps({"command": "core.ping", "tags": [marker], **fields}).encode())
    entry = _rejected_with(wire, marker)
    assert (entry["code"], entry["field"]) == (400, "id")
    assert "missing" in entry["reason"]


@pytest.mark.parametrize(
    "job", ["", "a b", "-a", "a/../b", "a}b", "ü", "x" * 129, "a\n", 7, ["a"], True]
)
def test_a_bad_id(wire: Wire, job: object) -> None:
    """An ID outside its alphabet is refused before it reaches a key."""
    marker = wire.new_id()
    wire.push_bytes(json.dumps({"id": job, "command": "core.ping", "tags": [marker]}).encode())
    entry = _rejected_with(wire, marker)
    assert (entry["code"], entry["field"]) == (400, "id")
    assert "id" not in entry


@pytest.mark.parametrize(
    "field, value",
    [
        ("command", 7),
        ("command", ""),
        ("arguments", ["a"]),
        ("arguments", "a"),
        ("queue", "a b"),
        ("queue_scope", "world"),
        ("max_time", "10"),
        ("max_time", -1),
        ("grace", -0.5),
        ("max_restart", 1.5),
        ("max_restart", -1),
        ("recurring_period", True),
        ("expires_at", "tomorrow"),
        ("on_lost", "ignore"),
        ("stream", "yes"),
        ("log_levels", 7),
        ("log_levels", [1, 256]),
        ("stats_interval", []),
        ("tags", "a"),
        ("tags", ["a", 1]),
        ("reply_to", "a/b"),
    ],
)
@pytest.mark.parametrize("encode", ["json", "msgpack"])
def test_a_wrong_value(wire: Wire, field: str, value: object, encode: str) -> None:
    """The entry and the waiter's result name the field, in the encoding of the payload."""
    job = wire.new_id()
    fields = {"id": job, "command": "core.ping", field: value}
    wire.push_bytes(json.dumps(fields).encode() if encode == "json" else msgpack.packb(fields))
    payload = wire.result_bytes(job)
    result = json.loads(payload) if encode == "json" else msgpack.unpackb(payload)
    assert (result["state"], result["code"], result["attempts"]) == ("REJECTED", 400, 0)
    assert json.loads(result["data"]).startswith(field)
    entry = wire.wait_rejected(lambda entry: entry.get("id") == job)
    assert (entry["code"], entry["field"].partition("[")[0]) == (400, field)


def test_no_command(wire: Wire) -> None:
    """A payload with an ID and no command is rejected, its waiter told."""
    job = wire.new_id()
    wire.push_bytes(json.dumps({"id": job}).encode())
    result = wire.result(job)
    assert (result["state"], result["code"]) == ("REJECTED", 400)
    assert json.loads(result["data"]).startswith("command")
    assert wire.wait_rejected(lambda entry: entry.get("id") == job)["field"] == "command"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
def test_numbers_that_are_none(wire: Wire, number: str) -> None:
    """Durations that are no numbers are refused, however they are written."""
    marker = wire.new_id()
    wire.push_bytes(f'{{"id": "{marker}", "command": "core.ping", "max_time": {number}}}'.encode())
    assert _rejected_with(wire, marker)["code"] == 400


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_in_msgpack(wire: Wire, value: float) -> None:
    """MessagePack has forms for them, which are refused by the field's name."""
    job = wire.push("core.ping", max_time=value, encode=msgpack.packb)
    assert wire.result(job)["state"] == "REJECTED"
    assert wire.wait_rejected(lambda entry: entry.get("id") == job)["field"] == "max_time"


def test_null_means_absent(wire: Wire) -> None:
    """A command whose optional fields are all null runs as one without them."""
    names = ["queue", "queue_scope", "max_time", "grace", "max_restart", "recurring_period"]
    names += ["expires_at", "on_lost", "stream", "log_levels", "stats_interval", "tags", "reply_to"]
    nulls: dict[str, Any] = dict.fromkeys([*names, "arguments"])
    job = wire.new_id()
    wire.push_bytes(json.dumps({"id": job, "command": "core.ping", **nulls}).encode())
    result = wire.result(job)
    assert (result["state"], result["tags"]) == ("SUCCESS", [])


def test_an_unknown_field_is_ignored(wire: Wire) -> None:
    """A newer client's fields do no harm, whatever they hold."""
    job = wire.push("core.ping", of_tomorrow={"a": [1, None]}, protected=True)
    assert wire.result(job)["state"] == "SUCCESS"


def test_an_unknown_command(wire: Wire) -> None:
    """Its result names the command."""
    result = wire.result(wire.push("core.nothing"))
    assert (result["state"], result["code"], result["attempts"]) == ("UNKNOWN_CMD", 404, 0)
    assert "core.nothing" in result["data"]


def test_two_mib_are_too_large(wire: Wire) -> None:
    """A payload over the limit is rejected with its size, and its waiter gets a result."""
    job = wire.new_id()
    payload = wire.payload("bash", {"script": "true", "stdin": "x" * 2 * MIB}, id=job)
    wire.push_bytes(payload)
    result = wire.result(job)
    assert (result["state"], result["code"]) == ("REJECTED", 400)
    assert str(MIB) in result["data"]
    entry = wire.wait_rejected(lambda entry: entry.get("id") == job)
    assert entry["size"] == len(payload)
    assert len(entry["payload"]) <= 4096


def test_twenty_mib_are_too_large(wire: Wire) -> None:
    """A payload far over the limit is rejected all the same, and costs nobody else anything."""
    marker = wire.new_id()
    payload = wire.payload("bash", {"script": "true", "stdin": "x" * 20 * MIB}, tags=[marker])
    first = json.dumps({"tags": [marker]}).encode()[:-1] + b", " + payload[1:]
    wire.push_bytes(first)
    after = wire.push("core.ping")
    entry = _rejected_with(wire, marker)
    assert (entry["code"], entry["field"]) == (400, "payload")
    assert str(MIB) in entry["reason"]
    assert len(entry["payload"]) <= 4096
    assert wire.result(after)["state"] == "SUCCESS"


def test_the_size_of_twenty_mib_is_told(wire: Wire) -> None:
    """The entry's size is that of the payload as it was pushed."""
    marker = wire.new_id()
    payload = json.dumps({"tags": [marker], "command": "x" * 20 * MIB}).encode()
    wire.push_bytes(payload)
    assert _rejected_with(wire, marker)["size"] == len(payload)


def test_a_payload_at_the_limit_runs(wire: Wire) -> None:
    """A megabyte is taken."""
    job = wire.new_id()
    bare = len(wire.payload("bash", {"script": "wc -c", "stdin": ""}, id=job))
    text = "x" * (MIB - bare)
    wire.push("bash", {"script": "wc -c", "stdin": text}, id=job)
    assert int(wire.result(job)["streams"][0]) == len(text)


@pytest.mark.parametrize("deep", [2_000, 200_000])
def test_deep_nesting(wire: Wire, deep: int) -> None:
    """Arguments nested beyond all reason are rejected or answered, and the agent goes on."""
    marker = wire.new_id()
    nested = "[" * deep + "]" * deep
    wire.push_bytes(
        f'{{"id": "{marker}", "command": "core.ping", "arguments": {{"a": {nested}}}}}'.encode()
    )
    entry = _rejected_with(wire, marker)
    assert entry["code"] == 400
    assert "nested" in entry["reason"]


def test_deep_nesting_in_msgpack(wire: Wire) -> None:
    """The same holds for MessagePack."""
    marker = wire.new_id()
    head = b"\x82\xa4tags\x91" + msgpack.packb(marker) + b"\xa9arguments\x81\xa1a"
    wire.push_bytes(head + b"\x91" * 200_000 + b"\xc0")
    assert _rejected_with(wire, marker)["code"] == 400


def test_a_duplicate_leaves_the_first_result(wire: Wire) -> None:
    """The second sender hears DUPILICATE_ID; the first result stays as it is."""
    job, client = wire.new_id(), f"client-{wire.new_id()}"
    wire.script("echo first", id=job)
    first = wire.result_bytes(job)
    wire.script("echo second", id=job, reply_to=client)
    notices = eventually(lambda: wire.inbox(client))
    assert [(notice["id"], notice["state"], notice["code"]) for notice in notices] == [
        (job, "DUPILICATE_ID", 409)
    ]
    entry = wire.wait_rejected(lambda entry: entry.get("id") == job)
    assert (entry["code"], entry["field"]) == (409, "id")
    assert "echo second" in entry["payload"]
    assert wire.result_bytes(job) == first
    assert wire.redis.llen(wire.keys.result(job)) == 1


@pytest.mark.parametrize("control", [False, True], ids=["commands", "control"])
def test_a_duplicate_of_a_running_job(wire: Wire, control: bool) -> None:
    """The ID of a job that runs is in use on both lists; the job itself is not disturbed."""
    job, client = wire.new_id(), f"client-{wire.new_id()}"
    wire.script("echo first; sleep 30", id=job, stream=True)
    eventually(lambda: wire.log(job), "it has written")
    wire.script("echo second", id=job, reply_to=client, control=control)
    notices = eventually(lambda: wire.inbox(client))
    assert notices[0]["state"] == "DUPILICATE_ID"
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    result = wire.result(job)
    assert (result["state"], result["streams"][0]) == ("KILLED", "first\n")


def test_a_duplicate_in_one_batch(wire: Wire) -> None:
    """Of two payloads with one ID that are pushed at once, the first runs."""
    job, client = wire.new_id(), f"client-{wire.new_id()}"
    payloads = [
        wire.payload("bash", {"script": f"echo {text}"}, id=job, reply_to=client)
        for text in ("first", "second")
    ]
    wire.push_bytes(*payloads)
    assert wire.result(job)["streams"][0] == "first\n"
    notices = eventually(lambda: len(wire.inbox(client)) == 2 and wire.inbox(client))
    assert isinstance(notices, list)
    assert {notice["state"] for notice in notices} == {"DUPILICATE_ID", "SUCCESS"}


def test_an_unreadable_payload_with_a_used_id(wire: Wire) -> None:
    """A rejection does not replace the first result either."""
    job = wire.push("core.ping")
    first = wire.result_bytes(job)
    wire.push("core.ping", id=job, max_time="long")
    wire.wait_rejected(lambda entry: entry.get("id") == job)
    assert wire.result_bytes(job) == first


def test_expired(wire: Wire) -> None:
    """A command that is late is not run."""
    job = wire.script("echo never", expires_at=int(time.time() * 1000) - 1000)
    result = wire.result(job)
    assert (result["state"], result["code"], result["attempts"]) == ("EXPIRED", 410, 0)
    assert result["streams"] == ["", ""]


def test_expired_while_it_waited(wire: Wire) -> None:
    """A command whose time runs out in its queue is not run either."""
    queue = f"q-{wire.new_id()}"
    holder = wire.script("sleep 0.6", queue=queue)
    wire.wait_stage(holder, "running")
    late = wire.script("echo never", queue=queue, expires_at=int(time.time() * 1000) + 200)
    assert wire.result(late)["state"] == "EXPIRED"
    assert wire.result(holder)["state"] == "SUCCESS"


def test_not_expired(wire: Wire) -> None:
    """A command that is in time runs."""
    job = wire.push("core.ping", expires_at=int(time.time() * 1000) + 60_000)
    assert wire.result(job)["state"] == "SUCCESS"


def test_the_fleet_scope_without_a_queue_is_refused(wire: Wire) -> None:
    """Whoever asks for it wants to be alone: it is not run beside others."""
    result = wire.result(wire.script("echo never", queue_scope="fleet"))
    assert (result["state"], result["code"], result["attempts"]) == ("REJECTED", 400, 0)
    assert "queue_scope" in result["data"]


@pytest.mark.parametrize(
    "command, arguments, named",
    [
        ("core.system", {"name": "true", "of_tomorrow": 1}, "of_tomorrow"),
        ("core.system", {"args": ["a"]}, "name"),
        ("core.system", {"name": 7}, "name"),
        ("core.system", {"name": ""}, "name"),
        ("core.system", {"name": "true", "args": "a"}, "args"),
        ("core.system", {"name": "true", "args": ["a\0b"]}, "args"),
        ("core.system", {"name": "true", "env": {"A": 1}}, "env"),
        ("core.system", {"name": "true", "env": {"A=B": "1"}}, "env"),
        ("core.system", {"name": "true", "stdin": 7}, "stdin"),
        ("core.system", None, "name"),
        ("bash", {"script": "true", "of_tomorrow": 1}, "of_tomorrow"),
        ("core.ping", {"of_tomorrow": 1}, "of_tomorrow"),
        ("job.kill", {}, "id"),
        ("job.list", {"id": 7}, "id"),
    ],
)
def test_a_wrong_argument_is_named(
    wire: Wire, command: str, arguments: dict[str, Any] | None, named: str
) -> None:
    """A wrong, missing or unknown argument is an error that names it."""
    result = wire.result(wire.push(command, arguments))
    assert (result["state"], result["code"]) == ("ERROR", 400)
    assert json.loads(result["data"]).startswith(named)


def test_bad_payloads_among_good_ones(wire: Wire) -> None:
    """Good commands around bad ones run, and every bad one is told of."""
    marker = wire.new_id()
    jobs = [wire.new_id() for _ in range(50)]
    payloads: list[bytes] = []
    for job in jobs:
        payloads += [wire.payload("core.ping", id=job), f"bad {marker}".encode()]
    wire.push_bytes(*payloads)
    states = {result["state"] for result in wire.results(jobs).values()}
    assert states == {"SUCCESS"}
    eventually(
        lambda: sum(entry["payload"] == f"bad {marker}" for entry in wire.rejected()) == len(jobs)
    )
