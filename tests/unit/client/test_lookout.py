"""Looking at keys for all who wait."""

from __future__ import annotations

from typing import Any

from corex.core import Core
from corex.effects import Run
from corex.lookout import CHUNK, MOST_SINGLY, PACE, SAFETY, Lookout, look
from corex.mailbox import found_key
from corex.ticket import Ticket
from corex_shared.errors import StoreRefusedError
from tests.unit.client.playing import Clock, make_core, packed, play, result_of

REFUSED = StoreRefusedError("CROSSSLOT")


def _ours(job: str) -> Ticket:
    return Ticket(job, "n1", mail=(job,))


def _core(clock: Clock, *tickets: Ticket) -> Core:
    core = make_core(clock)
    core.lookout.watch(tickets, clock.now)
    clock.now += SAFETY
    return core


def test_jobs_of_others_are_due_every_second_and_ours_now_and_then() -> None:
    """What the inbox tells of is looked at less often."""
    lookout = Lookout()
    lookout.watch([_ours("mine"), Ticket("theirs")], 0.0)
    seen = [
        (now, lookout.due(now)) for now in (0.5, PACE, PACE + 0.5, 2 * PACE, SAFETY, SAFETY * 2)
    ]
    assert [jobs for _, jobs in seen] == [
        [],
        ["theirs"],
        [],
        ["theirs"],
        ["theirs", "mine"],
        ["theirs", "mine"],
    ]


def test_looks_are_a_second_apart() -> None:
    """However many jobs become due in between, the next look is at all of them together."""
    lookout = Lookout()
    lookout.watch([Ticket("a")], 0.0)
    lookout.watch([Ticket("b"), Ticket("c")], 0.2)
    assert lookout.due(1.0) == ["a"]
    assert lookout.due(1.3) == []
    assert lookout.due(2.0) == ["b", "c", "a"]


def test_a_job_is_watched_as_long_as_anybody_watches_it() -> None:
    """Two who wait for one job have it looked at once, and until both have left."""
    lookout = Lookout()
    lookout.watch([Ticket("a"), Ticket("a")], 0.0)
    assert lookout.due(1.0) == ["a"]
    lookout.unwatch([Ticket("a")])
    assert lookout.due(2.0) == ["a"]
    lookout.unwatch([Ticket("a")])
    assert lookout.due(3.0) == []


def test_what_is_found_is_brought_to_its_waiters() -> None:
    """One command asks whether there is any result; only then results are read."""
    clock = Clock()
    core = _core(clock, _ours("a"), Ticket("b"))
    waiter = core.mailbox.open([found_key("a")])
    other = core.mailbox.open([found_key("b")])
    played = play(look(core), [1], [None, packed(result_of("a"))])
    assert played.effects == [
        Run([("EXISTS", "corex:{job:b}:result", "corex:{job:a}:result")]),
        Run([("LINDEX", "corex:{job:b}:result", 0), ("LINDEX", "corex:{job:a}:result", 0)]),
    ]
    assert played.value == {waiter}
    assert [mail.result for mail in waiter.take()] == [result_of("a")]
    assert not other.ready


def test_a_look_that_finds_nothing_is_one_round_trip() -> None:
    """Thousands of keys are asked for by a few commands, and nothing is due right after."""
    clock = Clock()
    core = _core(clock, *(Ticket(f"j{number}") for number in range(3 * CHUNK + 1)))
    played = play(look(core), [0, 0, 0, 0])
    assert [len(call) - 1 for call in played.effects[0].calls] == [CHUNK, CHUNK, CHUNK, 1]
    assert (len(played.effects), played.value) == (1, set())
    assert play(look(core)).effects == []


def test_on_a_cluster_keys_are_asked_for_singly() -> None:
    """A server that refuses one command over many slots is asked for fewer keys, one by one."""
    clock = Clock()
    core = _core(clock, *(Ticket(f"j{number}") for number in range(MOST_SINGLY + 10)))

    def none(effect: Run) -> list[Any]:
        return [None] * len(effect.calls)

    first = play(look(core), REFUSED, none)
    assert len(first.effects[1].calls) == MOST_SINGLY
    assert first.done
    clock.now += PACE
    second = play(look(core), none)
    assert [call[0] for call in second.effects[0].calls] == ["LINDEX"] * MOST_SINGLY
    clock.now += PACE
    third = play(look(core), none)
    assert third.effects[0].calls[0][1] == f"corex:{{job:j{MOST_SINGLY}}}:result"


def test_one_bad_key_harms_its_own_waiter_only() -> None:
    """Of a key that cannot be read its waiter is told to look; the others' results are brought."""
    clock = Clock()
    core = _core(clock, Ticket("a"), Ticket("b"))
    waiters = [core.mailbox.open([found_key(job)]) for job in "ab"]
    played = play(look(core), [2], [b"junk", packed(result_of("b"))])
    assert played.value == set(waiters)
    assert [waiter.take()[0].result for waiter in waiters] == [None, result_of("b")]
    clock.now += PACE
    refused = play(look(core), [1], StoreRefusedError("WRONGTYPE"))
    assert refused.value == set(waiters)
