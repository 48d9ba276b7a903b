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
