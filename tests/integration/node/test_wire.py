"""The plain way: a command is pushed, its result waits, broken payloads are told of."""

from __future__ import annotations

import json
import time

import msgpack

from corex_shared.version import __version__
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess
from tests.helpers.wire import Wire


def test_a_json_command_has_its_result_and_keeps_it(wire: Wire) -> None:
    """RPUSH of JSON, then BLMOVE of the result, which is JSON, stays, and goes in its time."""
    job = wire.new_id()
    command = {"id": job, "command": "bash", "arguments": {"script": "echo out; echo err >&2"}}
    wire.redis.rpush(wire.keys.commands("n1"), json.dumps(command))
    payload = wire.result_bytes(job)
    assert payload[:1] == b"{"
    result = json.loads(payload)
    assert (result["id"], result["command"], result["node"]) == (job, "bash", "n1")
    assert (result["state"], result["code"], result["signal"]) == ("SUCCESS", 0, 0)
    assert result["streams"] == ["out\n", "err\n"]
    assert (result["stdout_bytes"], result["stderr_bytes"]) == (4, 4)
    assert (result["truncated"], result["attempts"], result["survivors"]) == (False, 1, 0)
    assert wire.result_bytes(job) == payload
    assert 0 < wire.redis.pttl(wire.keys.result(job)) <= 300_000
    assert 0 < wire.redis.pttl(wire.keys.state(job)) <= 300_000


def test_messages_are_heard_by_subscribe(wire: Wire) -> None:
    """Who subscribes to the job's channel hears all that a streaming job writes, then its end."""
    job = wire.new_id()
    with wire.subscribed(wire.keys.stream(job)) as heard:
        wire.script("echo one; sleep 0.3; echo two", id=job, stream=True)
        eventually(lambda: heard() and heard()[-1]["flags"] & 6, "the last message")
        messages = heard()
    assert "".join(message["message"] for message in messages) == "one\ntwo\n"
    assert {message["job"] for message in messages} == {job}
    assert {message["node"] for message in messages} == {"n1"}


def test_a_broken_payload_is_in_rejected_with_its_reason(wire: Wire) -> None:
    """What cannot be read is kept beside the reason, for a week."""
    wire.push_bytes(b'{"id": "broken')
    entry = wire.wait_rejected(lambda entry: entry["payload"] == '{"id": "broken')
    assert entry["code"] == 400
    assert entry["field"] == "payload"
    assert "truncated" in entry["reason"]
    assert entry["size"] == 14
    assert abs(entry["time"] - time.time() * 1000) < 60_000
    assert 0 < wire.redis.ttl(wire.keys.rejected("n1")) <= 7 * 24 * 3600


def test_a_msgpack_command_is_answered_in_msgpack(wire: Wire) -> None:
    """Result, inbox, log and channel use the encoding of the command."""
    job, client = wire.new_id(), f"client-{wire.new_id()}"
    wire.script("echo out", id=job, stream=True, reply_to=client, encode=msgpack.packb)
    result = msgpack.unpackb(wire.result_bytes(job))
    assert result["state"] == "SUCCESS"
    assert result["streams"] == ["out\n", ""]
    notices = eventually(lambda: wire.redis.lrange(wire.keys.inbox(client), 0, -1))
    assert [msgpack.unpackb(notice) for notice in notices] == [result]
    entries = wire.redis.xrange(wire.keys.log(job))
    assert "out\n" in [msgpack.unpackb(fields[b"m"])["message"] for _, fields in entries]


def test_bytes_of_stdin_by_msgpack(wire: Wire) -> None:
    """MessagePack carries bytes that JSON has no form for."""
    data = bytes(range(256))
    arguments = {"name": "od", "args": ["-An", "-tx1", "-v"], "stdin": data}
    job = wire.push("core.system", arguments, encode=msgpack.packb)
    assert bytes.fromhex(wire.result(job)["streams"][0].replace("\n", "")) == data


def test_tags_are_copied(wire: Wire) -> None:
    """The caller finds its own strings in the result."""
    job = wire.push("core.ping", tags=["a", "ü b"])
    assert wire.result(job)["tags"] == ["a", "ü b"]


def test_a_builtin_answers_in_data(wire: Wire) -> None:
    """The answer of a built-in is JSON text with its level."""
    result = wire.result(wire.push("core.ping"))
    assert json.loads(result["data"]) == f"PONG Version: {__version__}"
    assert result["level"] == 20


def test_the_state_tells_where_a_job_is(wire: Wire) -> None:
    """A job is running, then finished, with node and times."""
    job = wire.script("true")
    wire.result(job)
    eventually(lambda: wire.state(job).get("stage") == "finished")
    state = wire.state(job)
    assert (state["node"], state["state"]) == ("n1", "SUCCESS")
    assert int(state["claimed"]) <= int(state["finished"])


def test_a_small_result_is_in_the_inbox_whole(wire: Wire) -> None:
    """A client that waits for many jobs needs no second look for small results."""
    client = f"client-{wire.new_id()}"
    job = wire.push("core.ping", reply_to=client)
    result = wire.result(job)
    assert eventually(lambda: wire.inbox(client)) == [result]
    assert wire.redis.ttl(wire.keys.inbox(client)) > 0


def test_of_a_large_result_the_inbox_has_the_id_only(wire: Wire) -> None:
    """A result beyond 8 KiB is announced by a map with its ID and nothing else."""
    client = f"client-{wire.new_id()}"
    job = wire.script("head -c 20000 /dev/zero | tr '\\0' x", reply_to=client)
    assert wire.result(job)["streams"][0] == "x" * 20000
    assert eventually(lambda: wire.inbox(client)) == [{"id": job}]


def test_nothing_stays_claimed(wire: Wire) -> None:
    """At the end the claimed hash is empty, whatever became of the commands."""
    jobs = [wire.script("true"), wire.script("exit 3"), wire.push("core.nothing")]
    jobs.append(wire.push("core.ping", control=True))
    wire.push_bytes(b"nothing to read")
    states = [wire.results(jobs)[job]["state"] for job in jobs]
    assert states == ["SUCCESS", "ERROR", "UNKNOWN_CMD", "SUCCESS"]
    wire.wait_unclaimed()
    assert not wire.redis.exists(wire.keys.claimed("n1"))


def test_presence(wire: Wire, shared_node: NodeProcess) -> None:
    """The heartbeat says who the node is and how it does, and lives as long as the lease."""
    presence = wire.presence()
    assert {
        *("incarnation", "version", "host", "boot", "pid", "pid_start", "started", "groups"),
        *("labels", "load", "slots", "running", "queued", "quiet", "lease_ms", "heartbeat_ms"),
    } <= set(presence)
    assert shared_node.process is not None
    assert int(presence["pid"]) == shared_node.process.pid
    assert presence["version"] == __version__
    assert json.loads(presence["groups"]) == []
    assert json.loads(presence["labels"]) == {}
    assert float(presence["load"]) >= 0
    assert (presence["slots"], presence["quiet"]) == ("200", "0")
    assert 0 < wire.redis.pttl(wire.keys.presence("n1")) <= 15_000
    seen = wire.redis.zscore(wire.keys.nodes(), "n1")
    assert abs(seen - time.time() * 1000) < 20_000


def test_named_queues_keep_order(wire: Wire) -> None:
    """Commands of one queue run in the order of the list and never overlap."""
    queue = f"q-{wire.new_id()}"
    jobs = [wire.script("date +%s%N; sleep 0.02; date +%s%N", queue=queue) for _ in range(20)]
    results = wire.results(jobs)
    stamps = [int(text) for job in jobs for text in results[job]["streams"][0].split()]
    assert len(stamps) == 2 * len(jobs)
    assert stamps == sorted(stamps)


def test_queues_do_not_wait_for_each_other(wire: Wire) -> None:
    """A job of another queue, or of none, runs while one queue is busy."""
    holder = wire.script("sleep 30", queue=f"q-{wire.new_id()}")
    wire.wait_stage(holder, "running")
    other = wire.script("echo other", queue=f"q-{wire.new_id()}")
    free = wire.script("echo free")
    results = wire.results([other, free])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}
    wire.push("job.kill", {"id": holder, "signal": 9}, control=True)
    assert wire.result(holder)["state"] == "KILLED"
