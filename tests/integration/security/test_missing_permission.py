"""A node whose Redis user lacks a permission: it says which, and goes on as far as it can."""

from __future__ import annotations

import json
import time

import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.servers import Server
from tests.helpers.users import Users
from tests.helpers.wire import Wire, read


def refusals(node: NodeProcess) -> list[str]:
    """Reasons that the node's log gives."""
    events = [json.loads(line) for line in node.log_text().splitlines()]
    return [str(event["reason"]) for event in events if "refused" in event["event"]]


def says(node: NodeProcess, text: str) -> None:
    """Wait until the log names something that is refused."""
    eventually(lambda: any(text in reason for reason in refusals(node)), f"{text} in the log")


def test_a_node_waits_for_the_permissions_that_it_needs_to_start(
    guarded: Server, users: Users, run_node: RunNode, keys: Keys
) -> None:
    """It names command and key of what is missing, one after the other, and starts without help
    when all are there."""
    missing = ["+script|load", "+zadd", "+hscan"]
    login = users.add("node", "n1", without=missing)
    node = run_node("n1", url=guarded.url_of(login), start=False)
    node.start(wait=False)
    says(node, "'script|load'")
    users.add("node", "n1", without=missing[1:])
    says(node, f"ZADD {keys.nodes()}: ")
    users.add("node", "n1", without=missing[2:])
    says(node, f"HSCAN {keys.claimed('n1')}: ")
    users.add("node", "n1")
    node.wait_present()
    eventually(lambda: "node.ready" in node.log_text())
    assert "Traceback" not in node.log_text()


def test_a_node_goes_on_without_permissions_and_says_so_once_a_second_at_most(
    guarded: Server, admin: redis.Redis, users: Users, run_node: RunNode, keys: Keys
) -> None:
    """Waiting for commands, publishing and inboxes are refused: it looks for commands every second,
    keeps results that cannot be written, and delivers them when they can."""
    node = run_node("n1", url=guarded.url_of(users.add("node", "n1")))
    wire = Wire(admin, keys, "n1")
    begin = time.monotonic()
    users.add("node", "n1", without=["+blmove", "+publish"])
    jobs = [wire.script("echo out; echo err >&2; exit 1", stream=True) for _ in range(100)]
    wire.results(jobs)
    says(node, f"BLMOVE {keys.commands('n1')}: ")
    says(node, f"script emit {keys.namespace}:")
    # What may not be published is in the log all the same.
    texts = [read(fields[b"m"])["message"] for _, fields in wire.redis.xrange(keys.log(jobs[-1]))]
    assert sorted(texts[:-1]) == ["err\n", "out\n"]
    users.add("node", "n1", without=[f"~{keys.inbox('*')}", "+blmove"])
    told = wire.script("true", reply_to="somebody")
    says(node, f"script finish {keys.state(told)} {keys.result(told)}")
    assert not admin.exists(keys.result(told))
    users.add("node", "n1")
    assert wire.result(told)["state"] == "SUCCESS"
    assert admin.llen(keys.inbox("somebody")) == 1
    took = time.monotonic() - begin
    assert len(refusals(node)) <= took + 2
    assert "Traceback" not in node.log_text()
