"""`queue.list` and `queue.release` over the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.helpers.eventually import eventually
from tests.helpers.wire import Pairs, Wire


def _answer(wire: Wire, command: str, **arguments: Any) -> Any:
    result = wire.result(wire.push(command, arguments, control=True))
    assert result["state"] == "SUCCESS", result
    return json.loads(result["data"])


def _queue(wire: Wire, name: str) -> Pairs | None:
    listed = [entry for entry in _answer(wire, "queue.list") if entry["queue"] == name]
    assert len(listed) <= 1
    return listed[0] if listed else None


def _kill(wire: Wire, *jobs: str) -> None:
    for job in jobs:
        _answer(wire, "job.kill", id=job, signal=9)
    wire.results(jobs)


def test_a_queue_is_listed_while_it_is_held(wire: Wire) -> None:
    """With its holder and who waits, in order; queues by name."""
    names = [f"q-{wire.new_id()}-{letter}" for letter in "ba"]
    jobs = {name: [wire.script("sleep 30", queue=name) for _ in range(3)] for name in names}
    for queued in jobs.values():
        wire.wait_stage(queued[0], "running")
        wire.wait_stage(queued[2], "waiting")
    listed = [entry["queue"] for entry in _answer(wire, "queue.list")]
    assert [name for name in listed if name in names] == sorted(names)
    for name, (holder, *waiters) in jobs.items():
        entry = _queue(wire, name)
        assert entry is not None
        assert entry.pop("starttime") > 0
        assert entry == {
            "queue": name,
            "scope": "node",
            "holder": holder,
            "stage": "running",
            "waiters": waiters,
        }
    _answer(wire, "job.kill", id=jobs[names[0]][1])
    entry = _queue(wire, names[0])
    assert entry is not None
    assert entry["waiters"] == jobs[names[0]][2:]
    for holder, *waiters in jobs.values():
        _kill(wire, *waiters, holder)
    assert [_queue(wire, name) for name in names] == [None, None]


def test_a_released_queue_is_the_next_ones_and_the_holder_goes_on(
    wire: Wire, tmp_path: Path
) -> None:
    """Its end does not disturb who holds the queue by then."""
    queue, go = f"q-{wire.new_id()}", tmp_path / "go"
    script = f"until [ -e {go} ]; do sleep 0.01; done; echo done"
    stuck, second, third = (wire.script(script, queue=queue) for _ in range(3))
    wire.wait_stage(third, "waiting")
    assert _answer(wire, "queue.release", queue=queue) is True
    wire.wait_stage(second, "running")
    entry = _queue(wire, queue)
    assert entry is not None
    assert (entry["holder"], entry["waiters"]) == (second, [third])
    assert wire.state(stuck)["stage"] == "running"
    _kill(wire, stuck)
    entry = _queue(wire, queue)
    assert entry is not None
    assert (entry["holder"], entry["waiters"]) == (second, [third])
    go.touch()
    results = wire.results([second, third])
    assert {result["streams"][0] for result in results.values()} == {"done\n"}


def test_a_recurring_job_whose_queue_was_released_stands_in_line_again(wire: Wire) -> None:
    """For its next run."""
    queue = f"q-{wire.new_id()}"
    job = wire.script("sleep 0.3", queue=queue, recurring_period=0.05, stream=True)
    wire.wait_stage(job, "running")
    assert _answer(wire, "queue.release", queue=queue) is True
    holder = wire.script("sleep 30", queue=queue)
    wire.wait_stage(holder, "running")

    def waits() -> bool:
        entry = _queue(wire, queue)
        return entry is not None and (entry["holder"], entry["waiters"]) == (holder, [job])

    eventually(waits, "it waits behind the other")
    _kill(wire, holder)
    entry = _queue(wire, queue)
    assert entry is None or entry["holder"] == job
    _kill(wire, job)


def test_a_queue_that_nobody_holds_cannot_be_released(wire: Wire) -> None:
    """Which is false; one that was held just now, too."""
    queue = f"q-{wire.new_id()}"
    assert _answer(wire, "queue.release", queue=queue) is False
    wire.result(wire.script("true", queue=queue))
    assert _answer(wire, "queue.release", queue=queue) is False


def test_both_may_stand_in_a_queue_themselves(wire: Wire) -> None:
    """A command that releases the queue it holds ends as ever."""
    queue = f"q-{wire.new_id()}"
    listing = wire.push("queue.list", queue=queue)
    [entry] = [e for e in json.loads(wire.result(listing)["data"]) if e["queue"] == queue]
    assert entry["holder"] == listing
    releasing = wire.push("queue.release", {"queue": queue}, queue=queue)
    assert json.loads(wire.result(releasing)["data"]) is True
    assert wire.result(wire.script("echo out", queue=queue))["streams"][0] == "out\n"
