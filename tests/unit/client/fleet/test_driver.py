"""Turns are recorded before commands are pushed, by whoever surely has the lease."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corex.core import Core
from corex.effects import Run
from corex.fleet.driver import Driver
from corex.fleet.outcome import finished
from corex.fleet.progress import Progress, ServerTime
from corex.fleet.record import Mark, RunRecord, mark_entry
from corex.fleet.store import LEASE
from corex_shared.errors import StoreUnavailableError
from corex_shared.models import Command
from corex_shared.scripts import script, whole
from tests.unit.client.playing import Clock, make_core, play, result_of

AWAY = StoreUnavailableError("away")


class Played:
    """One driver, by hand."""

    def __init__(self, **fields: Any) -> None:
        self.clock = Clock()
        self.core: Core = make_core(self.clock)
        nodes = ("a", "b", "c", "d")
        self.record = RunRecord(
            "r", Command("core.ping"), nodes, "msgpack", 60.0, 0, "me", **fields
        )
        self.progress = Progress(self.record)
        self.driver = Driver(self.core, self.progress, ServerTime(self.clock, 0), "me/1")

    def play(self, *answers: Any) -> list[str]:
        """Begin the run with these answers; name what was asked for."""
        return _names(play(self.driver.begin(), *answers, clock=self.clock).effects)

    def late(self, seconds: float, answer: Any) -> Callable[[Run], Any]:
        """Make an answer that takes its time."""

        def reply(_: Run) -> Any:
            self.clock.now += seconds
            return answer

        return reply


def _names(effects: list[Any]) -> list[str]:
    known = {script(name).sha: name for name in ("run_begin", "run_drive")}
    calls = [whole(effect.calls[0]) for effect in effects if isinstance(effect, Run)]
    return [known.get(str(call[1]), str(call[0])) for call in calls]


DRIVEN = [[1, 0, 4, b""]]
LOST = [[0, 0, 4, b""]]


def test_the_record_is_written_first() -> None:
    """Then the commands are pushed, then the lease is given back."""
    played = Played(batch=2)
    assert played.play([1], [1, 1], DRIVEN) == ["run_begin", "RPUSH", "run_drive"]
    assert played.progress.pushed == {0, 1}
    assert played.progress.schedule.running == {0, 1}


def test_a_lost_answer_to_the_record_is_asked_for_again() -> None:
    """It may be written; nothing was pushed."""
    assert Played().play(AWAY, AWAY, [1], [1], DRIVEN) == [
        *("run_begin", "run_begin", "run_begin"),
        *("RPUSH", "run_drive"),
    ]


def test_a_client_that_slept_renews_its_lease_before_it_pushes() -> None:
    """Somebody else may have seen to the run meanwhile: then it pushes nothing."""
    played = Played()
    slept = played.late(LEASE / 2 + 0.1, [1])
    assert played.play(slept, DRIVEN, [1], DRIVEN) == [
        *("run_begin", "run_drive", "RPUSH", "run_drive")
    ]
    played = Played()
    slept = played.late(LEASE / 2 + 0.1, [1])
    assert played.play(slept, LOST) == ["run_begin", "run_drive"]
    assert played.progress.pushed == set()


def test_when_pushing_fails_it_is_said_that_the_run_may_have_begun() -> None:
    """With its ID, by which it can be picked up or cancelled."""
    played = Played()
    with pytest.raises(StoreUnavailableError, match="run r is recorded, and may have begun"):
        played.play([1], *[AWAY] * 6)


def test_turns_that_were_not_recorded_were_none() -> None:
    """When the lease is lost as they are written, they wait again."""
    played = Played(batch=1)
    played.play([1], [1], AWAY)  # the lease was not given back
    driver, progress = played.driver, played.progress
    driver.settle(0, finished("a", result_of("r.0")))
    assert _names(play(driver.advance(), LOST).effects) == ["run_drive"]
    assert not driver.driving
    assert (sorted(progress.marks), progress.schedule.running) == ([0], frozenset())
    # The journal of the other says what was started.
    entry = mark_entry(2, Mark("other", 5))
    taken = [[3, 0, 5, b""], [entry]]
    synced = play(driver.sync(), taken).value
    assert synced.acquired
    assert [news.index for news in synced.news] == [2]
    assert progress.schedule.running == {2}
