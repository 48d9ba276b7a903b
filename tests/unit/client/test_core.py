"""Bounded waiting."""

from __future__ import annotations

from typing import Any

import pytest

from corex.core import Patience, checked_timeout
from corex_shared.errors import StoreUnavailableError, WaitTimeout
from tests.unit.client.playing import Clock, make_core


@pytest.mark.parametrize("seconds", [None, -1, float("nan"), float("inf"), "5", True])
def test_unbounded_timeouts_are_refused(seconds: Any) -> None:
    """A timeout is a finite number of seconds; None does not mean for ever."""
    with pytest.raises(ValueError, match="a timeout is a number of seconds"):
        checked_timeout(seconds)


def test_zero_is_a_timeout() -> None:
    """0 means to look once."""
    assert checked_timeout(0) == 0.0


def test_backoff_doubles_up_to_its_cap_and_resets() -> None:
    """Pauses between tries grow from 100 ms to 2 s and start anew after a success."""
    patience = Patience(make_core(), "x", 60)
    error = StoreUnavailableError("gone")
    pauses = [patience.failed(error).seconds for _ in range(7)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    patience.succeeded()
    assert patience.failed(error).seconds == 0.1


def test_a_pause_ends_with_the_wait() -> None:
    """No pause is longer than the time that is left."""
    clock = Clock()
    patience = Patience(make_core(clock), "x", 1)
    clock.now += 0.95
    assert patience.failed(StoreUnavailableError("gone")).seconds == pytest.approx(0.05)


def test_the_end_says_what_redis_said() -> None:
    """The error at the end of a wait names what it waited for, how long, and Redis's last error."""
    clock = Clock()
    patience = Patience(make_core(clock), "result of job a1", 2)
    patience.failed(StoreUnavailableError("connection refused"))
    clock.now += 2
    with pytest.raises(WaitTimeout, match=r"a1 \(Redis: connection refused\): not within 2 s"):
        patience.failed(StoreUnavailableError("connection refused"))


def test_an_old_error_is_not_blamed() -> None:
    """An error of Redis that was overcome is not mentioned at the end of the wait."""
    patience = Patience(make_core(), "it", 2)
    patience.failed(StoreUnavailableError("gone"))
    patience.succeeded()
    assert str(patience.timeout()) == "it: not within 2 s"
