"""Keys of another type where the node's are: somebody else wrote there, and the agent goes on."""

from __future__ import annotations

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Wire


@pytest.mark.parametrize("name", ["state", "result"])
def test_a_string_at_a_key_of_the_job_counts_as_an_id_in_use(wire: Wire, name: str) -> None:
    """The command is rejected as a duplicate, its sender told, and the string left as it is."""
    job = wire.new_id()
    key = getattr(wire.keys, name)(job)
    wire.redis.set(key, "mine")
    before = wire.script("echo before")
    wire.script("echo never", id=job, reply_to=f"client-{job}", stream=True)
    after = wire.script("echo after")
    entry = wire.wait_rejected(lambda entry: entry.get("id") == job)
    assert (entry["code"], entry["field"]) == (409, "id")
    heard = eventually(lambda: wire.inbox(f"client-{job}"))
    assert [result["state"] for result in heard] == ["DUPILICATE_ID"]
    assert wire.redis.get(key) == b"mine"
    results = wire.results([before, after])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}


def test_a_string_at_the_log_costs_the_log_only(wire: Wire) -> None:
    """The job has its result, and its last message on its channel."""
    job = wire.new_id()
    wire.redis.set(wire.keys.log(job), "mine")
    with wire.subscribed(wire.keys.stream(job)) as heard:
        wire.script("echo out", id=job, stream=True)
        assert wire.result(job)["streams"][0] == "out\n"
        eventually(lambda: heard() and heard()[-1]["flags"] == 3, "the last message")


def test_a_log_with_later_entries_costs_no_other_job_its_result(wire: Wire) -> None:
    """Entries that somebody else wrote to a job's log harm neither it nor its neighbours."""
    job = wire.new_id()
    wire.redis.xadd(wire.keys.log(job), {"m": "mine"}, id="1000-0")
    others = [wire.new_id() for _ in range(20)]
    payloads = [wire.payload("core.ping", id=other) for other in others]
    wire.push_bytes(wire.payload("core.ping", id=job, stream=True), *payloads)
    results = wire.results([job, *others])
    assert {result["state"] for result in results.values()} == {"SUCCESS"}


def test_a_string_at_the_inbox_costs_the_notice_only(wire: Wire) -> None:
    """The job has its result, and its last message in log and channel."""
    client = f"client-{wire.new_id()}"
    wire.redis.set(wire.keys.inbox(client), "mine")
    job = wire.script("echo out", reply_to=client, stream=True)
    assert wire.result(job)["state"] == "SUCCESS"
    eventually(lambda: wire.log(job) and wire.log(job)[-1]["flags"] == 3, "the last message")


def test_a_string_at_the_inbox_of_a_duplicates_sender(wire: Wire) -> None:
    """A duplicate whose sender cannot be told is rejected as any other."""
    client = f"client-{wire.new_id()}"
    wire.redis.set(wire.keys.inbox(client), "mine")
    job = wire.push("core.ping")
    wire.result(job)
    wire.push("core.ping", id=job, reply_to=client)
    wire.wait_rejected(lambda entry: entry.get("id") == job)


@pytest.mark.parametrize("name", ["commands", "control"])
def test_a_string_at_a_list_of_commands(own_wire: Wire, name: str) -> None:
    """The other list is served meanwhile, and this one again when the string is gone."""
    key = getattr(own_wire.keys, name)("n1")
    own_wire.redis.set(key, "mine")
    job = own_wire.push("core.ping", control=name == "commands")
    assert own_wire.result(job)["state"] == "SUCCESS"
    own_wire.redis.delete(key)
    job = own_wire.push("core.ping", control=name == "control")
    assert own_wire.result(job, 30)["state"] == "SUCCESS"


def test_a_string_at_the_rejected_list(own_wire: Wire) -> None:
    """A payload that cannot be put into it is not forgotten: it is there when the way is free."""
    own_wire.redis.set(own_wire.keys.rejected("n1"), "mine")
    own_wire.push_bytes(b"neither")
    job = own_wire.push("core.ping", control=True)
    assert own_wire.result(job)["state"] == "SUCCESS"
    own_wire.redis.delete(own_wire.keys.rejected("n1"))
    own_wire.wait_rejected(lambda entry: entry["payload"] == "neither", 30)


def test_a_string_at_the_claimed_hash(own_wire: Wire) -> None:
    """Nothing can be claimed; commands stay in their list until the string is gone."""
    own_wire.redis.set(own_wire.keys.claimed("n1"), "mine")
    job = own_wire.push("core.ping")
    eventually(lambda: own_wire.presence()["running"] == "0", "a look at the agent")
    own_wire.redis.delete(own_wire.keys.claimed("n1"))
    assert own_wire.result(job, 30)["state"] == "SUCCESS"
