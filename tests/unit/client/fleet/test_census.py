"""Which of many keys are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corex.effects import Run
from corex.fleet.census import Census
from corex.lookout import CHUNK, MOST_SINGLY
from corex_shared.scripts import whole
from tests.unit.client.playing import make_core, play


def _answer(there: set[str]) -> Callable[[Run], list[int]]:
    return lambda effect: [sum(key in there for key in whole(call)[1:]) for call in effect.calls]


def look(census: Census, there: set[str]) -> tuple[dict[int, bool], int]:
    """Take a look; tell what was found, and for how many round trips more."""
    answers: Any = _answer(there)(Run(census.calls()))
    played = play(census.read(answers), *[_answer(there)] * 3)
    assert played.done
    return played.value, len(played.effects)


def test_all_or_none_are_known_at_once() -> None:
    """A thousand keys are two commands."""
    core, keys = make_core(), {index: f"k{index}" for index in range(2 * CHUNK)}
    census = Census(core, keys)
    assert len(census.calls()) == 2
    assert look(census, set(keys.values())) == (dict.fromkeys(keys, True), 0)
    assert look(census, set()) == (dict.fromkeys(keys, False), 0)


def test_some_are_asked_for_by_themselves() -> None:
    """Those of a hundred of which some are there, and only those."""
    core, keys = make_core(), {index: f"k{index}" for index in range(2 * CHUNK)}
    found, trips = look(Census(core, keys), {"k3"})
    assert trips == 1
    assert [index for index, there in found.items() if there] == [3]
    assert found.keys() == keys.keys()


def test_where_each_is_asked_for_by_itself_they_take_turns() -> None:
    """On a Cluster; in the end all were looked at."""
    core = make_core()
    core.lookout.singly = True
    keys = {index: f"k{index}" for index in range(2 * MOST_SINGLY + 7)}
    seen: set[int] = set()
    for turn in range(3):
        census = Census(core, keys, turn)
        assert len(census.calls()) == MOST_SINGLY
        seen |= look(census, set())[0].keys()
    assert seen == keys.keys()


def test_nothing_costs_nothing() -> None:
    """No command for no key."""
    census = Census(make_core(), {})
    assert census.calls() == []
    assert look(census, set()) == ({}, 0)
