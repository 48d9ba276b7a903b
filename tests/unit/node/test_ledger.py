"""What Redis was told lately: bounded in time, number and bytes."""

from __future__ import annotations

import pytest

from corex_node import ledger
from corex_node.ledger import WINDOW, Ledger
from corex_node.ticket import Source, Ticket
from corex_shared.finishing import Finish


class Clock:
    """Seconds, set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def _ids(found: Ledger) -> list[str]:
    return [finish.job_id for _, finish in found]


def _add(found: Ledger, job: str, size: int = 10) -> None:
    found.add([(Ticket(Source.COMMANDS, 1, job), Finish(job, b"x" * size, "SUCCESS"))])


def test_an_end_is_remembered_for_the_window_and_no_longer() -> None:
    clock = Clock()
    found = Ledger(clock)
    _add(found, "a")
    clock.now += WINDOW / 2
    _add(found, "b")
    assert _ids(found) == ["a", "b"]
    clock.now += WINDOW / 2
    found.prune()
    assert _ids(found) == ["b"]
    assert "b" in found
    assert "a" not in found


def test_an_end_is_not_remembered_beyond_its_result() -> None:
    clock = Clock()
    found = Ledger(clock, retention=WINDOW / 5)
    _add(found, "a")
    clock.now += WINDOW / 5
    found.prune()
    assert _ids(found) == []
    assert Ledger(clock, retention=WINDOW * 5).window == WINDOW


def test_an_end_that_is_told_again_is_remembered_anew_and_once() -> None:
    clock = Clock()
    found = Ledger(clock)
    _add(found, "a")
    _add(found, "b")
    clock.now += WINDOW / 2
    _add(found, "a")
    assert sorted(_ids(found)) == ["a", "b"]
    clock.now += WINDOW / 2
    found.prune()
    assert _ids(found) == ["a"]


def test_number_and_bytes_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_MOST", 3)
    found = Ledger(Clock())
    for job in "abcd":
        _add(found, job)
    assert _ids(found) == ["b", "c", "d"]
    monkeypatch.setattr(ledger, "_MOST_BYTES", 100)
    _add(found, "e", 85)
    assert _ids(found) == ["d", "e"]
    _add(found, "f", 101)  # one that alone is too large is not kept
    assert _ids(found) == []
    _add(found, "g", 100)
    assert _ids(found) == ["g"]


def test_an_end_that_is_others_to_write_is_forgotten() -> None:
    found = Ledger(Clock())
    _add(found, "a")
    _add(found, "b")
    found.forget("a")
    found.forget("never told")
    assert _ids(found) == ["b"]
    assert found.ticket_of("a") is None


def test_what_is_looked_for_now_and_then_is_found_as_ends_come_and_go() -> None:
    clock = Clock()
    found = Ledger(clock)
    for step, job in enumerate("abcdefgh"):
        _add(found, job)
        if step in (1, 5):
            found.forget(job)
        assert len(found) >= 1
        clock.now += WINDOW * 0.4
        if step in (2, 6, 7):
            found.prune()
            assert _ids(found) == {2: ["c"], 6: ["g"], 7: ["g", "h"]}[step]
            assert found.ticket_of("b") is None
            assert "f" not in found
