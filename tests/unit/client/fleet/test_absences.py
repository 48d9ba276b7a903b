"""Which nodes of a run are away."""

from __future__ import annotations

from corex.fleet.absences import GONE, LOST_WAIT, Absences


def test_a_node_is_gone_when_it_was_missing_for_some_seconds() -> None:
    """In every look of them."""
    absences = Absences()
    absences.saw({0: False, 1: False}, 0)
    absences.saw({0: False, 1: True}, GONE / 2)
    absences.saw({0: False, 1: False}, GONE)
    assert absences.gone(GONE - 0.1) == []
    assert absences.gone(GONE) == [0]
    assert absences.is_missing(1)
    assert not absences.is_missing(2)


def test_what_was_missing_while_redis_was_away_says_nothing() -> None:
    """The seconds are counted anew."""
    absences = Absences()
    absences.saw({0: False}, 0)
    absences.reset()
    absences.saw({0: False}, GONE)
    assert absences.gone(GONE) == []
    assert absences.gone(2 * GONE) == [0]


def test_the_result_of_a_gone_node_is_awaited_for_a_bounded_time() -> None:
    """Unless it comes back, or has an outcome."""
    absences = Absences()
    absences.saw(dict.fromkeys(range(3), False), 0)
    for index in range(3):
        absences.had_its_job(index, GONE)
    assert absences.gone(GONE) == []
    absences.saw({1: True}, GONE)
    absences.forget([2])
    assert absences.overdue(GONE + LOST_WAIT - 0.1) == []
    assert absences.overdue(GONE + LOST_WAIT) == [0]
