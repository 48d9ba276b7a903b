"""`job.list` and `job.kill` over the wire."""

from __future__ import annotations

import json
from typing import Any

from tests.helpers.eventually import eventually
from tests.helpers.wire import Wire


def _answer(wire: Wire, command: str, **arguments: Any) -> Any:
    result = wire.result(wire.push(command, arguments, control=True))
    assert result["state"] == "SUCCESS", result
    return json.loads(result["data"])


def test_list_shows_what_runs_and_what_waits(wire: Wire) -> None:
    """Each job has its command, stage and process; what it is fed is not shown."""
    queue = f"q-{wire.new_id()}"
    arguments = {
        "name": "sleep",
        "args": ["30"],
        "env": {"PASSWORD": "hidden"},
        "stdin": "hidden too",
    }
    running = wire.push("core.system", arguments, queue=queue, tags=["t"])
    wire.wait_stage(running, "running")
    waiting = wire.script("true", queue=queue)
    wire.wait_stage(waiting, "waiting")
    # Its stage is written before it has a process.
    eventually(lambda: _answer(wire, "job.list", id=running)[0]["pid"], "its process")
    listed = {entry["cmd"]["id"]: entry for entry in _answer(wire, "job.list")}
    assert listed[running]["stage"] == "running"
    assert listed[running]["pid"] > 0
    assert listed[running]["starttime"] > 0
    assert listed[running]["rss"] > 0
    assert listed[running]["cmd"]["command"] == "core.system"
    assert listed[running]["cmd"]["tags"] == ["t"]
    assert "hidden" not in json.dumps(listed)
    assert (listed[waiting]["stage"], listed[waiting]["pid"]) == ("waiting", 0)
    only = _answer(wire, "job.list", id=running)
    assert [entry["cmd"]["id"] for entry in only] == [running]
    for job in (waiting, running):
        assert _answer(wire, "job.kill", id=job) is True
    wire.results([waiting, running])


def test_list_of_an_unknown_job(wire: Wire) -> None:
    """A job that is not there is a 404 that names the argument."""
    result = wire.result(wire.push("job.list", {"id": "never-seen"}, control=True))
    assert (result["state"], result["code"]) == ("ERROR", 404)
    assert "id" in result["data"]


def test_kill_a_running_job(wire: Wire) -> None:
    """It ends as KILLED, with what it had written."""
    job = wire.script("echo begun; sleep 30", stream=True)
    eventually(lambda: wire.log(job), "it has written")
    assert _answer(wire, "job.kill", id=job) is True
    result = wire.result(job)
    assert (result["state"], result["code"]) == ("KILLED", 499)
    assert result["streams"][0] == "begun\n"


def test_kill_a_queued_job(wire: Wire) -> None:
    """It is taken off its queue and never runs; who stands behind it still does."""
    queue = f"q-{wire.new_id()}"
    holder = wire.script("sleep 30", queue=queue)
    wire.wait_stage(holder, "running")
    queued, behind = wire.script("echo never", queue=queue), wire.script("echo yes", queue=queue)
    wire.wait_stage(behind, "waiting")
    assert _answer(wire, "job.kill", id=queued) is True
    result = wire.result(queued)
    assert (result["state"], result["attempts"]) == ("KILLED", 0)
    assert result["streams"] == ["", ""]
    assert _answer(wire, "job.kill", id=holder, signal=9) is True
    assert wire.result(behind)["streams"][0] == "yes\n"


def test_kill_an_unknown_job(wire: Wire) -> None:
    """A job that is not there cannot be killed, which is no error."""
    assert _answer(wire, "job.kill", id="never-seen") is False


def test_another_signal_is_only_delivered(wire: Wire) -> None:
    """A job that handles USR1 goes on by itself."""
    job = wire.script("trap 'echo usr1; exit 0' USR1; echo ready; sleep 30 & wait", stream=True)
    eventually(lambda: wire.log(job), "the trap is set")
    assert _answer(wire, "job.kill", id=job, signal=10) is True
    result = wire.result(job)
    assert (result["state"], result["streams"][0]) == ("SUCCESS", "ready\nusr1\n")


def test_a_signal_that_does_not_exist(wire: Wire) -> None:
    """It is a bad request that names the argument."""
    for number in (-1, 65):
        job = wire.push("job.kill", {"id": "x", "signal": number}, control=True)
        result = wire.result(job)
        assert (result["state"], result["code"]) == ("ERROR", 400)
        assert "signal" in result["data"]


def test_each_way_of_killing_a_running_job(wire: Wire) -> None:
    """TERM is what 0 and nothing mean; INT and KILL are themselves."""
    for asked, died in ((None, 15), (0, 15), (15, 15), (2, 2), (9, 9)):
        job = wire.push("core.system", {"name": "sleep", "args": ["30"]})
        wire.wait_stage(job, "running")
        assert _answer(wire, "job.kill", id=job, signal=asked) is True
        result = wire.result(job)
        assert (result["state"], result["code"]) == ("KILLED", 499)
        # One that is killed before it runs has no signal to die of.
        assert result["signal"] in (died, 9)


def test_a_job_that_ignores_int_has_its_time(wire: Wire) -> None:
    """A job that was sent INT ends at `max_time` at the latest, and was killed."""
    script = "trap '' INT; echo ready; while :; do sleep 0.05; done"
    job = wire.script(script, stream=True, max_time=1, grace=0.2)
    eventually(lambda: wire.log(job), "the trap is set")
    assert _answer(wire, "job.kill", id=job, signal=2) is True
    result = wire.result(job)
    assert (result["state"], result["signal"]) == ("KILLED", 15)


def test_any_signal_that_was_sent_and_was_deadly(wire: Wire) -> None:
    """A job that dies of one of several signals was killed."""
    job = wire.script("echo ready; while :; do sleep 0.05; done", stream=True)
    eventually(lambda: wire.log(job), "it runs")
    for number in (10, 28, 23):  # the last two are ignored
        wire.push("job.kill", {"id": job, "signal": number}, control=True)
    result = wire.result(job)
    assert (result["state"], result["code"], result["signal"]) == ("KILLED", 499, 10)


def test_a_command_may_kill_itself(wire: Wire) -> None:
    """It did what was asked: it is killed."""
    job = wire.new_id()
    wire.push("job.kill", {"id": job}, id=job, control=True)
    assert wire.result(job)["state"] == "KILLED"


def test_a_job_that_is_killed_many_times_has_one_result(wire: Wire) -> None:
    """However it is killed."""
    job = wire.script("sleep 30")
    kills = [
        wire.push("job.kill", {"id": job, "signal": number}, control=True)
        for number in (15, 2, 15, 9, 9, 3, 15)
    ]
    assert wire.result(job)["state"] == "KILLED"
    answers = [json.loads(result["data"]) for result in wire.results(kills).values()]
    assert set(answers) <= {True, False}


def test_killall_leaves_who_asks(wire: Wire) -> None:
    """By either list; jobs that come afterwards run."""
    jobs = [wire.script("sleep 30") for _ in range(5)]
    for job in jobs:
        wire.wait_stage(job, "running")
    asked = wire.push("job.killall")
    assert (wire.result(asked)["state"], wire.result(asked)["data"]) == ("SUCCESS", "true")
    assert {result["state"] for result in wire.results(jobs).values()} == {"KILLED"}
    assert wire.result(wire.script("echo out"))["streams"][0] == "out\n"
