"""When nodes that are away are looked at; times in ms, as if the server had said them."""

from __future__ import annotations

from corex_node.absentees import Absentees, Remains

PATIENCE = 15_000.0
T = 1_000_000_000.0


def _seen(at: float) -> bytes:
    return b"%d" % at


def _look(absentees: Absentees, now: float, *silent: str) -> None:
    absentees.heard(now, _seen(now), {node: _seen(T - PATIENCE) for node in silent})


def _look_until(absentees: Absentees, now: float, till: float) -> float:
    while now < till:
        now += absentees.pause(now)
        _look(absentees, now)
    return now


def _names(absentees: Absentees, now: float) -> list[str]:
    return [absentee.node for absentee in absentees.due(now)]


def test_a_node_must_be_silent_while_we_listen() -> None:
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    assert _names(absentees, T) == []
    now = _look_until(absentees, T, T + PATIENCE - 1)
    assert now < T + PATIENCE * 1.3
    assert _names(absentees, now) == ["n1"]


def test_it_is_listened_for_more_often_than_nobody() -> None:
    absentees = Absentees(PATIENCE)
    _look(absentees, T)
    assert absentees.pause(T) == PATIENCE
    _look(absentees, T + PATIENCE, "n1")
    assert absentees.pause(T + PATIENCE) == PATIENCE / 4


def test_when_redis_was_away_all_have_their_time_anew() -> None:
    """Whoever is heard of no more may just be about to say something."""
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    now = _look_until(absentees, T, T + PATIENCE * 0.7)
    absentees.lost_contact()
    back = now + 60_000
    _look(absentees, back)
    assert _names(absentees, back + PATIENCE - 1) == []
    assert _names(absentees, back + PATIENCE) == ["n1"]


def test_when_we_were_stopped_all_have_their_time_anew() -> None:
    """Or when the server's clock was set, either way."""
    for gap in (PATIENCE, -60_000.0):
        absentees = Absentees(PATIENCE)
        _look(absentees, T, "n1")
        absentees.pause(T)
        _look(absentees, T + gap)
        assert _names(absentees, T + gap + PATIENCE - 1) == []


def test_a_look_that_is_a_little_late_changes_nothing() -> None:
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    now = T
    while now < T + PATIENCE:
        now += absentees.pause(now) * 1.2 + 300
        _look(absentees, now)
    assert _names(absentees, now) == ["n1"]


def test_a_node_that_was_seen_again_begins_anew() -> None:
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    now = _look_until(absentees, T, T + PATIENCE)
    (absentee,) = absentees.due(now)
    absentees.put_off(absentee, now + 300_000, urgent=False)
    absentees.heard(now + 100, b"0", {"n1": _seen(now)})
    assert _names(absentees, now + 100 + PATIENCE) == ["n1"]


def test_the_whole_list_is_looked_at_now_and_then() -> None:
    absentees = Absentees(PATIENCE)
    assert absentees.since == b"-inf"
    for now in (T, T + 599_000):
        _look(absentees, now)
        assert absentees.since == _seen(now)
    _look(absentees, T + 600_000)
    assert absentees.since == b"-inf"
    _look(absentees, T + 615_000)
    assert absentees.since == _seen(T + 615_000)


def test_one_that_is_found_twice_does_not() -> None:
    """Spans of two looks have one end in common."""
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    absentees.pause(T)
    _look(absentees, T + 3000, "n1")
    assert _names(absentees, T + PATIENCE) == ["n1"]


def test_the_longer_it_is_away_the_less_often_it_is_looked_at() -> None:
    absentees = Absentees(PATIENCE)
    rests = []
    for minutes in (1, 10, 60, 60 * 24 * 365):
        _look(absentees, T + minutes * 60_000, "n1")
        absentee = absentees.known["n1"]
        absentee.remains = Remains(T, (1, 1, 0))
        rests.append(absentees.rest(absentee, T + minutes * 60_000) / 1000)
    assert rests == [15, 61.5, 300, 300]


def test_a_command_that_expires_is_looked_at_then() -> None:
    absentees = Absentees(PATIENCE)
    now = T + 3_600_000
    _look(absentees, now, "n1")
    absentee = absentees.known["n1"]
    absentee.remains = Remains(now, (0, 2, 0))
    for at in (now + 50_000, now + 40_000, now + 60_000):
        absentee.remains.may_expire(at)
    assert absentees.rest(absentee, now) == 40_000


def test_a_long_list_is_looked_through_less_often() -> None:
    """A hundred thousand commands that expire one by one, not more often than each 100 s."""
    absentees = Absentees(PATIENCE)
    _look(absentees, T, "n1")
    absentee = absentees.known["n1"]
    absentee.remains = Remains(T, (0, 100_000, 0), T + 1)
    assert absentees.rest(absentee, T) == 100_000


def test_many_that_are_away_share_the_looks() -> None:
    """A thousand dead nodes cost a look each ten seconds, unless there is something to do."""
    absentees = Absentees(PATIENCE)
    _look(absentees, T, *(f"n{number}" for number in range(1000)))
    absentee = absentees.known["n7"]
    absentees.put_off(absentee, T + 300_000, urgent=False)
    assert absentee.due > T + 9_990_000
    absentees.put_off(absentee, T + 300_000, urgent=True)
    assert absentee.due == T + 300_000


def test_what_is_known_to_be_left() -> None:
    """Lists of another length, a command that has expired and time make it unknown."""
    remains = Remains(T, (1, 2, 0), T + 5000)
    assert remains.are_known((1, 2, 0), T + 4999)
    assert not remains.are_known((1, 3, 0), T + 4999)
    assert not remains.are_known((1, 2, 0), T + 5000)
    assert not Remains(T, (1, 2, 0)).are_known((1, 2, 0), T + 3_600_000)
