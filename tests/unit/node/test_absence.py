"""Redis is away, which is logged and does not fill the log."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from corex_node.absence import Absence


def _told(away_every: float, seconds: float, back_after: float | None) -> list[dict[str, Any]]:
    """Have tries fail every so often for so long; return what was logged."""
    now = [1000.0]
    absence = Absence("part", lambda: now[0])
    with capture_logs() as logs:
        for at in range(round(seconds / away_every) + 1):
            now[0] = 1000 + at * away_every
            absence.away("refused")
        if back_after is not None:
            now[0] += back_after
            absence.back()
            absence.back()  # it is there, and was before
    return [dict(log) for log in logs]


def test_it_is_said_at_once_then_ever_more_seldom() -> None:
    """A second time after some seconds, and once a minute in the end; with how long it has been."""
    logs = _told(0.5, 300, None)
    assert {log["event"] for log in logs} == {"part.away"}
    assert {log["log_level"] for log in logs} == {"warning"}
    assert {log["reason"] for log in logs} == {"refused"}
    assert [log["away_for"] for log in logs] == [0, 5, 15, 35, 75, 135, 195, 255]


def test_that_it_is_back_is_said_once() -> None:
    """With how long it was away, and with how many tries."""
    logs = _told(0.5, 2, 0.75)
    assert [log["event"] for log in logs] == ["part.away", "part.back"]
    assert (logs[1]["log_level"], logs[1]["away_for"], logs[1]["tries"]) == ("info", 2.8, 5)


def test_what_was_never_away_is_not_back() -> None:
    """There is nothing to say."""
    with capture_logs() as logs:
        Absence("part").back()
    assert logs == []


def test_the_next_absence_is_said_at_once() -> None:
    """However soon it follows."""
    absence = Absence("part", lambda: 1000.0)
    with capture_logs() as logs:
        for _ in range(2):
            absence.away("refused")
            absence.away("refused")
            absence.back()
    assert [log["event"] for log in logs] == ["part.away", "part.back"] * 2
