"""Whoever came first goes on first, whichever is cleared first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corex_node.manager.arrivals import Arrivals


def test_a_later_one_waits_for_those_before_it() -> None:
    """It goes on with them."""
    arrivals: Arrivals[int] = Arrivals()
    for item in (1, 2, 3):
        arrivals.came("q", item)
    assert arrivals.cleared("q", 3) == []
    assert arrivals.cleared("q", 1) == [1]
    assert arrivals.cleared("q", 2) == [2, 3]


def test_one_that_is_gone_holds_nobody_up() -> None:
    """And one that went on, or never came, is gone without effect."""
    arrivals: Arrivals[str] = Arrivals()
    arrivals.came("q", "a")
    arrivals.came("q", "b")
    assert arrivals.cleared("q", "b") == []
    assert arrivals.gone("q", "a") == ["b"]
    assert arrivals.gone("q", "b") == []
    assert arrivals.gone("q", "nobody") == []


def test_lines_do_not_wait_for_each_other() -> None:
    """Each has its own order."""
    arrivals: Arrivals[str] = Arrivals()
    arrivals.came("q", "a")
    arrivals.came("r", "b")
    assert arrivals.cleared("r", "b") == ["b"]


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_any_order_of_clearing(order: list[int], leave: set[int]) -> None:
    """Those that stay go on in the order in which they came, each once."""
    arrivals: Arrivals[int] = Arrivals()
    for item in range(8):
        arrivals.came("q", item)
    passed: list[int] = []
    for item in order:
        passed += (arrivals.gone if item in leave else arrivals.cleared)("q", item)
    assert passed == [item for item in range(8) if item not in leave]
