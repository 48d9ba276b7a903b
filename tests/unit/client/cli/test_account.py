"""What is said of a run in the end, and its exit code."""

from __future__ import annotations

from typing import Any, cast

import pytest

from corex.cli.account import give_account, name_some, say_cancelled
from corex.cli.run_exits import exit_code_of_run
from corex.fleet.ending import NOT_TAKEN
from corex.fleet.outcome import Outcome, finished
from corex.sync import Client
from corex_shared.models import JobResult
from corex_shared.states import JobState

CLIENT = cast("Client", None)
"""Nothing is asked unless there is an age to tell."""


def result(node: str, state: JobState, code: int, **more: Any) -> JobResult:
    return JobResult(f"r.{node}", "bash", node, state, code, **{"attempts": 1, **more})


def ended(number: int, code: int = 1000, why: str = "") -> Outcome:
    states = {1000: JobState.SUCCESS, 499: JobState.KILLED}
    node = f"n{number}"
    return finished(node, result(node, states.get(code, JobState.ERROR), code), why)


def away(number: int, why: str = "away", job: str | None = None) -> Outcome:
    return Outcome(f"n{number}", "unreachable", job=job, reason=why)


def skipped(number: int) -> Outcome:
    return Outcome(f"n{number}", "skipped", reason="not started: why")


def test_twenty_are_named_and_the_rest_counted(capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = [ended(number, 1003) for number in range(300)]
    outcomes += [skipped(number) for number in range(300, 400)]
    give_account(CLIENT, outcomes, several=True)
    lines = capfd.readouterr().err.splitlines()
    assert lines[:20] == [f"corex: n{number}: exit code 3" for number in range(20)]
    assert lines[20] == "corex: … and 280 more that did not succeed"
    assert lines[21].endswith("n309 and 90 more: not started: why")
    assert lines[22:] == ["corex: 0 ok, 300 failed, 100 skipped"]


def test_nothing_is_said_in_a_pipe_of_what_went_well(capfd: pytest.CaptureFixture[str]) -> None:
    give_account(CLIENT, [ended(1), ended(2)], several=True)
    give_account(CLIENT, [ended(1)], several=False)
    give_account(CLIENT, [ended(1, 1003)], several=False)  # its exit code says it
    assert capfd.readouterr().err == ""


def test_why_the_only_job_was_killed(capfd: pytest.CaptureFixture[str]) -> None:
    """For its run: the time was up, or somebody has cancelled it."""
    give_account(CLIENT, [ended(1, 499, "the time was up")], several=False, overdue=2)
    give_account(CLIENT, [ended(1, 499, "cancelled by bob")], several=False)
    assert capfd.readouterr().err == "corex: n1: not within 2 s\ncorex: n1: cancelled by bob\n"


def test_who_may_still_have_a_job_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """Of those that had ended before nothing is said again."""
    outcomes = [
        ended(1, 1003),
        ended(2, 499, "the run was cancelled"),
        away(3, job="r.2"),
        skipped(4),
    ]
    say_cancelled(outcomes, outcomes[:1])
    assert capfd.readouterr().err.splitlines() == [
        "corex: killed on n2",
        "corex: not started on n4",
        "corex: n3: job r.2 may still run",
    ]


@pytest.mark.parametrize("count, text", [(1, "n"), (10, ", ".join("n" * 10))])
def test_few_nodes_are_all_named(count: int, text: str) -> None:
    assert name_some(["n"] * count) == text


@pytest.mark.parametrize(
    "outcomes, overdue, code",
    [
        ([ended(1)], False, 0),
        ([ended(1), ended(2)], True, 0),
        ([ended(1, 1007)], False, 7),
        ([ended(1, 1007), ended(2)], False, 1),
        ([ended(1, 499)], False, 137),
        ([ended(1, 499)], True, 124),
        ([ended(1, 499), ended(2)], True, 1),
        ([away(1)], False, 3),
        ([away(1), away(2)], False, 3),
        ([away(1), skipped(2)], False, 3),
        ([away(1), ended(2)], False, 1),
        ([ended(1), skipped(2)], False, 1),
        ([away(1, f"{NOT_TAKEN} in time", "r.0")], True, 3),
        ([away(1, "it did not answer", "r.0")], True, 124),
        ([finished("n1", result("n1", JobState.KILLED, 499, attempts=0))], True, 3),
        ([Outcome("n1", "finished", job="r.0", reason="it cannot be read")], False, 1),
    ],
)
def test_exit_codes(outcomes: list[Outcome], overdue: bool, code: int) -> None:
    """As docs/commandline.md has them."""
    assert exit_code_of_run(outcomes, overdue=overdue) == code
