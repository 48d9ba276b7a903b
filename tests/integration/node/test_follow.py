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


def test_much_output(wire: Wire, tmp_path: Path) -> None:
    """All of ten megabytes is shown, or what is missing is counted and told where it is missing."""
    go, follower = tmp_path / "go", wire.new_id()
    job = wire.script(f"until [ -e {go} ]; do sleep 0.01; done; seq -w 1000000 | head -c 10000000")
    wire.wait_stage(job, "running")
    with wire.subscribed(wire.keys.stream(follower)) as heard:
        wire.push("core.subscribe", {"id": job}, id=follower, stream=True, control=True)
        wire.wait_stage(follower, "running")
        go.touch()
        messages: list[Pairs] = eventually(
            lambda: heard() if heard() and heard()[-1]["flags"] & 6 else [], "its end", seconds=30
        )
    missed = json.loads(wire.result(follower)["data"])["missed"]
    assert wire.result(job)["stdout_bytes"] == 8_000_000
    assert len(_text(messages)) + missed == 8_000_000
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    _assert_gaps_are_told(messages)


def _assert_gaps_are_told(messages: list[Pairs]) -> None:
    """Lines follow each other, but where as many characters are told to be missing."""
    at = 0  # characters that were written up to here
    for message in messages[:-1]:
        text = message["message"]
        if message["level"] == 7:
            at += int(text.split()[1])
            continue
        numbers = text.split()
        assert (int(numbers[0]) - 1) * 8 == at
        assert len(numbers) * 8 == len(text)
        at += len(text)


def test_a_job_that_comes_late_gets_the_backlog_of_a_megabyte_that_was_written(wire: Wire) -> None:
    """The last 64 KiB, the rest is told to be missing."""
    job = wire.script("seq -w 100000 999999 | head -c 1000000; echo done >&2; sleep 30")
    wire.wait_stage(job, "running")
    with wire.subscribed(wire.keys.node_log(wire.node)) as heard:
        eventually(lambda: [m for m in heard() if m["job"] == job] or wire.log(job))
    follower = _follow(wire, job)
    eventually(lambda: "done\n" in _text(wire.log(follower), 2), "the end of the backlog")
    wire.push("job.kill", {"id": job}, control=True)
    told = json.loads(wire.result(follower)["data"])
    assert told["code"] == 499
    assert told["missed"] + len(_text(wire.log(follower))) + 5 == 1_000_005
    assert 0 < len(_text(wire.log(follower))) <= 64 * 1024 + 5


def test_all_runs_of_a_recurring_job_are_followed(wire: Wire) -> None:
    """What each writes, and the report of each, until it is unscheduled."""
    job = wire.script("echo run; exit $((1 - $(date +%N) % 2))", recurring_period=0.05)
    follower = _follow(wire, job)
    eventually(lambda: _text(wire.log(follower)).count("run\n") >= 3, "three runs")
    wire.push("job.unschedule", {"id": job}, control=True)
    result = wire.result(job)
    told = json.loads(wire.result(follower)["data"])
    assert (told["state"], told["code"]) == (result["state"], result["code"])
    reports = [json.loads(m["message"]) for m in wire.log(follower) if m["level"] == 30]
    runs = [report["run"] for report in reports]
    assert runs == list(range(runs[0], result["attempts"] + 1))
    assert wire.result(follower)["state"] == "SUCCESS"


def test_many_followers_of_one_job(wire: Wire, tmp_path: Path) -> None:
    """Thirty that come while it writes see the same."""
    go = tmp_path / "go"
    script = f"echo begin; until [ -e {go} ]; do sleep 0.01; done; seq 2000"
    job = wire.script(script)
    wire.wait_stage(job, "running")
    followers = [_follow(wire, job) for _ in range(15)]
    for follower in followers:
        wire.wait_stage(follower, "running")
    go.touch()
    followers += [_follow(wire, job) for _ in range(15)]
    results = wire.results(followers)
    shown = {
        _text(wire.log(follower)) for follower in followers if results[follower]["code"] != 404
    }
    whole = "begin\n" + "".join(f"{number}\n" for number in range(1, 2001))
    assert shown == {whole}


def test_a_follower_has_a_time_of_its_own(wire: Wire) -> None:
    """`max_time` ends the follower, and not the job."""
    job = wire.script("echo up; sleep 30")
    follower = wire.push("core.subscribe", {"id": job}, stream=True, control=True, max_time=0.3)
    assert wire.result(follower)["state"] == "TIMEOUT"
    assert "state" not in wire.state(job)
    wire.push("job.kill", {"id": job}, control=True)
    wire.result(job)


def test_a_job_that_waits_is_followed_from_its_first_line(wire: Wire) -> None:
    """As soon as the node knows it."""
    queue = f"q-{wire.new_id()}"
    holder, job = wire.script("sleep 30", queue=queue), wire.script("echo first", queue=queue)
    wire.wait_stage(job, "waiting")
    follower = _follow(wire, job)
    wire.wait_stage(follower, "running")
    wire.push("job.kill", {"id": holder, "signal": 9}, control=True)
    assert wire.result(follower)["state"] == "SUCCESS"
    assert _text(wire.log(follower)) == "first\n"
    wire.results([holder, job])


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
