"""Jobs that run again, over the wire: entries of each run, events, unscheduling, killing."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire


def _entries(wire: Wire, job: str) -> list[Pairs]:
    """What the job's log says of its runs."""
    return [json.loads(m["message"]) for m in wire.log(job) if m["level"] == 30]


def _runs(events: list[Pairs], job: str) -> list[Pairs]:
    """The events of the runs of a job."""
    return [event for event in events if event.get("job") == job and "run" in event]


def _unschedule(wire: Wire, job: str) -> bool:
    result = wire.result(wire.push("job.unschedule", {"id": job}, control=True))
    assert result["state"] == "SUCCESS", result
    return bool(json.loads(result["data"]))


def test_every_run_is_in_the_log_and_an_event_the_last_one_too(wire: Wire, tmp_path: Path) -> None:
    """Each with its outcome; the one result is that of the last run."""
    go, runs = tmp_path / "go", tmp_path / "runs"
    script = (
        f"echo x >> {runs}; n=$(wc -l < {runs}); "
        f"if [ $n -ge 4 ]; then until [ -e {go} ]; do sleep 0.01; done; fi; "
        "case $n in 2) exit 3;; 3) kill -9 $$;; esac"
    )
    with wire.subscribed(wire.keys.events()) as heard:
        job = wire.script(script, recurring_period=0.05, stream=True)
        eventually(lambda: runs.exists() and runs.read_text().count("x") == 4, "the fourth run")
        assert _unschedule(wire, job) is True
        go.touch()
        result = wire.result(job)
        eventually(lambda: len(_entries(wire, job)) == 4)
        events = eventually(lambda: found if len(found := _runs(heard(), job)) == 4 else [])
    entries = _entries(wire, job)
    assert (result["state"], result["attempts"]) == ("SUCCESS", 4)
    assert [(e["run"], e["state"], e["code"], e["signal"], e["next"]) for e in entries] == [
        (1, "SUCCESS", 0, 0, 50),
        (2, "ERROR", 1003, 0, 50),
        (3, "ERROR", 1128 + 9, 9, 50),
        (4, "SUCCESS", 0, 0, None),
    ]
    for entry, event in zip(entries, events, strict=True):
        assert event.items() >= entry.items()
        assert (event["event"], event["node"], event["command"]) == ("recurring", "n1", "bash")
    last = wire.log(job)[-1]
    assert (last["flags"] & 6, last["level"]) == (2, 1)


def test_unscheduled_between_two_runs_it_ends_with_the_outcome_of_the_last(wire: Wire) -> None:
    """At once, and not as a kill."""
    job = wire.script("echo out; exit 7", recurring_period=60, stream=True)
    eventually(lambda: _entries(wire, job), "its first run has ended")
    begun = time.monotonic()
    assert _unschedule(wire, job) is True
    result = wire.result(job)
    assert time.monotonic() - begun < 20  # its next run is in a minute
    assert (result["state"], result["code"], result["attempts"]) == ("ERROR", 1007, 1)
    assert result["streams"][0] == "out\n"
    assert _unschedule(wire, job) is False


def test_unscheduled_before_its_first_run_it_runs_once(wire: Wire) -> None:
    """When its turn comes."""
    queue = f"q-{wire.new_id()}"
    holder = wire.script("sleep 30", queue=queue)
    job = wire.script("echo out", queue=queue, recurring_period=0.01)
    wire.wait_stage(job, "waiting")
    assert _unschedule(wire, job) is True
    wire.push("job.kill", {"id": holder, "signal": 9}, control=True)
    result = wire.result(job)
    assert (result["state"], result["attempts"], result["streams"][0]) == ("SUCCESS", 1, "out\n")
    wire.result(holder)


@pytest.mark.parametrize("number", [2, 9, 15])
def test_killed_between_two_runs_it_ends_at_once(wire: Wire, number: int) -> None:
    """As KILLED, with what it wrote before."""
    job = wire.script("echo out", recurring_period=60, stream=True)
    eventually(lambda: _entries(wire, job), "its first run has ended")
    wire.push("job.kill", {"id": job, "signal": number}, control=True)
    result = wire.result(job, seconds=5)
    assert (result["state"], result["code"], result["attempts"]) == ("KILLED", 499, 1)
    assert result["streams"][0] == "out\n"


def test_a_run_that_fails_does_not_change_the_period(wire: Wire, tmp_path: Path) -> None:
    """Runs that fail come as soon after each other as those that do not."""
    told = tmp_path / "told"
    script = f"date +%s%N >> {told}; exit 1"
    job = wire.script(script, recurring_period=0.2, max_restart=2, stream=True)
    eventually(lambda: told.exists() and len(told.read_text().split()) == 6, "six runs")
    wire.push("job.kill", {"id": job}, control=True)
    wire.result(job)
    stamps = [int(text) / 1e9 for text in told.read_text().split()]
    pauses = [after - before for before, after in itertools.pairwise(stamps)]
    assert min(pauses) >= 0.2
    assert {entry["next"] for entry in _entries(wire, job)[:5]} == {200}


def test_the_time_of_each_run_is_bounded_by_itself(wire: Wire, tmp_path: Path) -> None:
    """The job lives on; a run that takes too long is a timeout, and the next one comes."""
    runs = tmp_path / "runs"
    script = f"echo x >> {runs}; [ $(wc -l < {runs}) -ne 3 ] || sleep 30; sleep 0.1"
    job = wire.script(script, recurring_period=0.05, max_time=0.5, stream=True)
    eventually(lambda: len(_entries(wire, job)) >= 5, "five runs")
    _unschedule(wire, job)
    wire.result(job)
    states = [entry["state"] for entry in _entries(wire, job)]
    assert states[:5] == ["SUCCESS", "SUCCESS", "TIMEOUT", "SUCCESS", "SUCCESS"]


def test_its_queue_is_free_between_two_runs(wire: Wire) -> None:
    """Others of the queue run meanwhile."""
    queue = f"q-{wire.new_id()}"
    job = wire.script("true", queue=queue, recurring_period=60, stream=True)
    eventually(lambda: _entries(wire, job), "its first run has ended")
    assert wire.result(wire.script("echo out", queue=queue))["streams"][0] == "out\n"
    wire.push("job.kill", {"id": job}, control=True)
    wire.result(job)


def test_a_restart_is_in_the_log_and_an_event(wire: Wire) -> None:
    """Each run that is followed by one; the last is the result."""
    with wire.subscribed(wire.keys.events()) as heard:
        job = wire.script("exit 4", max_restart=2, stream=True)
        result = wire.result(job)
        [event] = eventually(lambda: _runs(heard(), job))
    [entry] = _entries(wire, job)
    assert (result["code"], result["attempts"]) == (1004, 2)
    assert (entry["run"], entry["code"]) == (1, 1004)
    assert entry["next"] > 0
    assert (event["event"], event["run"], event["next"]) == ("restart", 1, entry["next"])
    assert [message["seq"] for message in wire.log(job)] == [0, 1]


def test_a_built_in_may_be_recurring_too(wire: Wire) -> None:
    """Each run answers."""
    job = wire.push("core.ping", recurring_period=0.02, stream=True)
    eventually(lambda: len(_entries(wire, job)) >= 3, "three runs")
    assert _unschedule(wire, job) is True
    result = wire.result(job)
    assert (result["state"], result["data"][:5]) == ("SUCCESS", '"PONG')
    assert result["attempts"] >= 3
