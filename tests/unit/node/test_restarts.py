"""Whether and when a job runs again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corex_node.manager.restarts import Backoff, RestartPolicy

PLAIN = Backoff(first=1, factor=2, cap=10, jitter=0, healthy=60)


def test_waits_grow_up_to_the_cap() -> None:
    """Each wait is longer than the one before, and none is longer than the cap."""
    assert [PLAIN.delay(failures, 0) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_chance_takes_off_no_more_than_the_jitter() -> None:
    """The wait is between the whole and what the jitter leaves of it."""
    backoff = Backoff(first=10, jitter=0.2)
    assert backoff.delay(1, 0) == 10
    assert backoff.delay(1, 1) == 8


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_a_wait_is_never_beyond_its_bounds(failures: int, chance: float) -> None:
    """However often a job fails, the wait is a number within bounds."""
    backoff = Backoff()
    assert backoff.first * (1 - backoff.jitter) <= backoff.delay(failures, chance) <= backoff.cap


def test_a_success_ends_it() -> None:
    """A job that may run thrice runs once when that succeeds."""
    assert RestartPolicy(3, None, PLAIN).after(True, 1, 0) is None


def test_runs_are_counted_in_all() -> None:
    """`max_restart` of 3 means three runs: the third failure is the last."""
    policy = RestartPolicy(3, None, PLAIN)
    assert [policy.after(False, 1, 0) for _ in range(3)] == [1, 2, None]


def test_a_single_run() -> None:
    """0 and 1 both mean no restart."""
    for runs in (0, 1):
        assert RestartPolicy(runs, None, PLAIN).after(False, 1, 0) is None


def test_a_healthy_run_begins_the_count_anew() -> None:
    """A job that failed long ago does not pay for it after it ran well."""
    policy = RestartPolicy(3, None, PLAIN)
    assert policy.after(False, 1, 0) == 1
    assert policy.after(False, 60, 0) == 1
    assert policy.after(False, 1, 0) == 2
    assert policy.after(False, 1, 0) is None


def test_a_recurring_job_goes_on() -> None:
    """It runs again after its period, whatever came of the run."""
    policy = RestartPolicy(1, 7.5, PLAIN)
    assert [policy.after(succeeded, 1, 1) for succeeded in (True, False, True)] == [7.5, 7.5, 7.5]
