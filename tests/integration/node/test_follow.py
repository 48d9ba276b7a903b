"""`core.subscribe`: one job's messages as the stream of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire


def _follow(wire: Wire, job: str, *, stream: bool = True) -> str:
    return wire.push("core.subscribe", {"id": job}, stream=stream, control=True)


def _text(messages: list[Pairs], level: int = 1) -> str:
    return "".join(message["message"] for message in messages if message["level"] == level)


def test_backlog_and_live_messages(wire: Wire, tmp_path: Path) -> None:
    """What was written before and after the subscription, once each, then the end."""
    go = tmp_path / "go"
    script = f"echo before; until [ -e {go} ]; do sleep 0.01; done; echo after; echo 9::bad; exit 3"
    job = wire.script(script)
    wire.wait_stage(job, "running")
    follower = _follow(wire, job)
    eventually(lambda: "before\n" in _text(wire.log(follower)), "the backlog")
    go.touch()
    result = wire.result(follower)
    told = json.loads(result["data"])
    assert (result["state"], told) == (
        "SUCCESS",
        {"id": job, "state": "ERROR", "code": 1003, "missed": 0},
    )
    messages = wire.log(follower)
    assert _text(messages) == "before\nafter\n"
    assert _text(messages, 9) == "bad"
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    assert {message["job"] for message in messages} == {follower}
    assert wire.result(job)["code"] == 1003


def test_a_killed_follower_leaves_the_job_alone(wire: Wire) -> None:
    """It may be killed like any job."""
    job = wire.script("echo up; sleep 30")
    follower = _follow(wire, job)
    eventually(lambda: _text(wire.log(follower)), "it follows")
    wire.push("job.kill", {"id": follower}, control=True)
    assert wire.result(follower)["state"] == "KILLED"
    assert "state" not in wire.state(job)
    wire.push("job.kill", {"id": job}, control=True)
    wire.result(job)


def test_nothing_is_heard_twice_in_the_nodes_log(wire: Wire) -> None:
    """What a follower shows is on the node's channel once: as the job's own."""
    with wire.subscribed(wire.keys.node_log(wire.node)) as heard:
        job = wire.script("sleep 0.2; echo 7::once; sleep 0.1")
        follower = _follow(wire, job)
        wire.results([job, follower])
        eventually(lambda: [m for m in heard() if m["job"] == job and m["flags"]], "its end")
        assert [m["job"] for m in heard() if m["message"] == "once"] == [job]
    assert "once" in _text(wire.log(follower), 7)


def test_much_output(wire: Wire) -> None:
    """All of ten megabytes is shown, or what is missing is counted and told."""
    job = wire.script("sleep 0.3; yes 0123456789abcdef | head -c 10000000; sleep 0.2")
    follower = _follow(wire, job)
    result = wire.result(follower, seconds=60)
    missed = json.loads(result["data"])["missed"]
    wire.result(job)
    assert 0 <= missed < 10_000_000


def _own(wire: Wire) -> str:
    return wire.new_id()


def _ended(wire: Wire) -> str:
    job = wire.script("true")
    wire.result(job)
    return job


@pytest.mark.parametrize("unknown", [_own, _ended])
def test_a_job_that_is_not_there(wire: Wire, unknown: Callable[[Wire], str]) -> None:
    """One that never was, or has ended, is a 404 that names the argument."""
    result = wire.result(_follow(wire, unknown(wire)))
    assert (result["state"], result["code"]) == ("ERROR", 404)
    assert json.loads(result["data"]).startswith("id: ")


def test_without_a_stream_nobody_would_see_it(wire: Wire) -> None:
    """That is a 412, told at once."""
    result = wire.result(_follow(wire, "any", stream=False))
    assert (result["code"], json.loads(result["data"])[:7]) == (412, "stream:")


def test_followers_are_not_followed(wire: Wire) -> None:
    """Neither another nor itself: they would talk for ever."""
    job = wire.script("echo up; sleep 30")
    follower = _follow(wire, job)
    eventually(lambda: _text(wire.log(follower)), "it follows")
    assert wire.result(_follow(wire, follower))["code"] == 406
    itself = wire.new_id()
    wire.push("core.subscribe", {"id": itself}, id=itself, stream=True, control=True)
    assert wire.result(itself)["code"] == 406
    wire.push("job.kill", {"id": job, "signal": 9}, control=True)
    wire.results([job, follower])
