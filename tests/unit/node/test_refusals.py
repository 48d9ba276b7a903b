"""Refusals of Redis are logged, and do not fill the log."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from corex_node.refusals import Refusals
from corex_shared.errors import StoreRefusedError


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is set."""
    return Clock()


def reasons(refusals: Refusals, clock: Clock, steps: list[tuple[float, str]]) -> list[str]:
    """Have reasons said after so many seconds each; return what was logged."""
    with capture_logs() as logs:
        for seconds, reason in steps:
            clock.now += seconds
            refusals.say(StoreRefusedError(reason), "here")
    assert {log["event"] for log in logs} <= {"redis.refused"}
    return [f"{log['reason']} {log['left_out']}" for log in logs]


def test_a_reason_is_said_at_once_and_again_after_a_while(clock: Clock) -> None:
    """With how many were left out in between."""
    steps = [(0.0, "a"), (0.1, "a"), (5.0, "a"), (40.0, "a")]
    assert reasons(Refusals(clock), clock, steps) == ["a 0", "a 2"]


def test_different_reasons_are_a_second_apart(clock: Clock) -> None:
    """So ten thousand jobs whose keys are refused are a line a second."""
    steps = [(0.001, f"job {number}") for number in range(2500)]
    assert len(reasons(Refusals(clock), clock, steps)) == 3


def test_it_does_not_remember_for_ever(clock: Clock) -> None:
    """A reason that is forgotten is said again, once a second at most."""
    refusals = Refusals(clock)
    steps = [(1.0, f"job {number}") for number in range(1000)]
    assert len(reasons(refusals, clock, steps)) == 1000
    assert reasons(refusals, clock, [(1.0, "job 0")]) == ["job 0 0"]
