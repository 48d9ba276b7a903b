"""Values gathered over stretches of time."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.statistics.windows import HISTORY, Window, Windows

NOON = 1_700_006_400
"""A multiple of an hour."""


def _figures(window: Window | None) -> tuple[int, float, float, int] | None:
    """Start from noon, total, max, count."""
    if window is None:
        return None
    return window.start - NOON, window.total, window.max, window.count


def test_a_window_begins_at_a_multiple_of_its_length() -> None:
    """However late its first value comes."""
    windows = Windows(300)
    assert windows.add(2.0, NOON + 299.9) is None
    assert _figures(windows.current(NOON + 299.9)) == (0, 2.0, 2.0, 1)
    assert _figures(windows.add(3.0, NOON + 300)) == (0, 2.0, 2.0, 1)
    assert _figures(windows.current(NOON + 300)) == (300, 3.0, 3.0, 1)


def test_the_figures_of_a_window() -> None:
    """Mean, sum, largest, number; of negative values too."""
    windows = Windows(300)
    for value in (-4.0, -1.0, -7.0):
        windows.add(value, NOON)
    assert windows.current(NOON).answer() == {
        "avg": -4.0,
        "total": -12.0,
        "max": -1.0,
        "count": 3,
        "start": NOON,
    }


def test_a_window_without_values_is_empty() -> None:
    """It begins where the clock is."""
    empty = {"avg": 0.0, "total": 0.0, "max": 0.0, "count": 0, "start": NOON + 300}
    assert Windows(300).current(NOON + 555).answer() == empty


def test_a_window_is_closed_when_its_time_is_over() -> None:
    """Not before, and once."""
    windows = Windows(300)
    windows.add(1.0, NOON + 10)
    assert windows.advance(NOON + 299.999) is None
    assert _figures(windows.advance(NOON + 300)) == (0, 1.0, 1.0, 1)
    assert windows.advance(NOON + 600) is None
    assert windows.close() is None


def test_the_last_windows_are_kept() -> None:
    """Oldest first; a stretch without values has none."""
    windows = Windows(300)
    for number in (*range(7), 20):
        windows.add(float(number), NOON + number * 300)
    assert [_figures(window) for window in windows.history()] == [
        (number * 300, float(number), float(number), 1) for number in range(2, 7)
    ]
    assert len(windows.history()) == HISTORY


def test_a_late_value_counts_for_the_open_window() -> None:
    """The one that it belongs to is closed and told already."""
    windows = Windows(300)
    windows.add(1.0, NOON + 300)
    assert windows.add(5.0, NOON + 299) is None
    assert windows.advance(NOON + 299) is None
    assert _figures(windows.current(NOON)) == (300, 6.0, 5.0, 2)


@pytest.mark.parametrize("jump", [-301, -86_400, -NOON])
def test_a_clock_set_back_begins_another_window(jump: int) -> None:
    """A clock that was years ahead does not hold a window open for years."""
    windows = Windows(300)
    windows.add(1.0, NOON)
    assert _figures(windows.add(2.0, NOON + jump)) == (0, 1.0, 1.0, 1)
    assert windows.current(NOON + jump).start == (NOON + jump) // 300 * 300
    windows = Windows(300)
    windows.add(1.0, NOON)
    assert _figures(windows.advance(NOON + jump)) == (0, 1.0, 1.0, 1)


_STEPS = st.floats(0, 700) | st.floats(-5000, 5000)


@given(st.lists(st.tuples(_STEPS, st.integers(-1000, 1000)), max_size=60))
def test_no_value_is_lost_or_counted_twice(steps: list[tuple[float, int]]) -> None:
    """Whatever the clock does, each value is in one window."""
    windows = Windows(300)
    told: list[Window] = []
    now = float(NOON)
    for step, value in steps:
        now += step
        told += filter(None, [windows.add(float(value), now)])
        assert -300 <= now - windows.current(now).start < 300
    told += filter(None, [windows.close()])
    assert sum(window.count for window in told) == len(steps)
    assert sum(window.total for window in told) == sum(value for _, value in steps)
    assert all(window.start % 300 == 0 for window in told)


@given(st.lists(st.tuples(st.floats(0, 400), st.integers(-50, 50)), min_size=1, max_size=60))
def test_on_a_decent_clock_windows_are_what_one_would_expect(
    steps: list[tuple[float, int]],
) -> None:
    """Each holds the values of its own stretch of time."""
    windows = Windows(300)
    told: list[Window] = []
    expected: dict[int, list[int]] = defaultdict(list)
    now = float(NOON)
    for step, value in steps:
        now += step
        expected[int(now // 300) * 300].append(value)
        told += filter(None, [windows.advance(now), windows.add(float(value), now)])
    told += filter(None, [windows.close()])
    assert [(window.start, window.total, window.max, window.count) for window in told] == [
        (start, sum(values), max(values), len(values)) for start, values in expected.items()
    ]
