"""What became of a node, and what a record keeps of it."""

from __future__ import annotations

from typing import Any

import pytest

from corex.fleet.outcome import TAIL, Outcome, cut, finished
from corex_shared.models import JobResult
from corex_shared.states import JobState, Level


def result(state: JobState = JobState.ERROR, code: int = 1001, **fields: Any) -> JobResult:
    """Make a result."""
    return JobResult("r.0", "bash", "n1", state, code, **fields)


def test_only_a_success_is_ok() -> None:
    """What was skipped is neither a success nor a failure."""
    ok = finished("n1", result(JobState.SUCCESS, 0))
    assert (ok.ok, ok.failed, ok.reason, ok.job) == (True, False, "", "r.0")
    failed = finished("n1", result())
    assert (failed.ok, failed.failed) == (False, True)
    away = Outcome("n1", "unreachable", reason="away")
    assert (away.ok, away.failed) == (False, True)
    skipped = Outcome("n1", "skipped", reason="no")
    assert (skipped.ok, skipped.failed) == (False, False)
    unread = Outcome("n1", "finished", reason="cannot be read")
    assert (unread.ok, unread.failed) == (False, True)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({}, "ERROR 1001"),
        ({"streams": ("out", "first\nlast\n\n")}, "ERROR 1001: last"),
        ({"critical": "disk full", "streams": ("", "x")}, "ERROR 1001: disk full"),
        ({"data": "no such program", "level": 0}, "ERROR 1001: no such program"),
        ({"data": '{"a": 1}', "level": Level.JSON, "streams": ("", "x")}, "ERROR 1001: x"),
        ({"critical": "y" * 1000}, "ERROR 1001: " + "y" * 200),
    ],
)
def test_the_reason_is_one_line(fields: dict[str, Any], reason: str) -> None:
    """The last one of what the job, or its node, said of it."""
    assert finished("n1", result(**fields)).reason == reason


def test_a_job_that_was_ended_says_why() -> None:
    """Unless it succeeded all the same."""
    assert finished("n1", result(JobState.KILLED, 499), "time is up").reason == "time is up"
    assert finished("n1", result(JobState.SUCCESS, 0), "time is up").reason == ""


def test_a_record_keeps_the_end_of_much_output() -> None:
    """And says so; part of an answer is no answer."""
    long = "x" * TAIL + "end"
    whole = finished("n1", result(streams=(long, long), data=long, critical=long))
    kept = cut(whole).result
    assert kept is not None
    assert kept.stdout == kept.stderr == long[-TAIL:]
    assert (kept.data, kept.critical, kept.truncated) == ("", long[:TAIL], True)


def test_little_output_is_kept_as_it_is() -> None:
    """The very same object, which is how one tells."""
    for outcome in (
        finished("n1", result(streams=("x" * TAIL, "y"), data="z")),
        Outcome("n1", "skipped"),
    ):
        assert cut(outcome) is outcome
