"""Reading and awaiting one result."""

from __future__ import annotations

import pytest

from corex.core import SLICE, Core
from corex.effects import Block, ReadInbox, Run, Sleep, Unserved
from corex.lookout import PACE, SAFETY
from corex.mailbox import Mail, found_key
from corex.results import answer, peek, wait
from corex.ticket import Ticket
from corex_shared.errors import (
    DecodeError,
    JobFailed,
    StoreRefusedError,
    StoreUnavailableError,
    WaitTimeout,
)
from corex_shared.states import JobState
from tests.unit.client.playing import Clock, make_core, packed, play, result_of

OURS = Ticket("a1", "n1", mail=("a1",))
THEIRS = Ticket("a1")
LOOK = Run([("LINDEX", "corex:{job:a1}:result", 0)])
FOUND = [packed(result_of("a1"))]
NONE = [None]


def _mail(core: Core, *entries: bytes) -> object:
    """Let entries come while the inbox is read."""

    def read(effect: ReadInbox) -> None:
        core.mailbox.put(entries)

    return read


def _pass(clock: Clock, seconds: float | None = None) -> object:
    """Let time pass while something is waited for."""

    def read(effect: ReadInbox | Block) -> None:
        clock.now += effect.seconds if seconds is None else seconds

    return read


def test_a_result_is_read_where_it_is() -> None:
    """Looking for a result takes nothing away."""
    assert play(peek(make_core(), "a1"), FOUND).value == result_of("a1")
    assert play(peek(make_core(), "a1"), NONE).value is None


def test_a_fresh_job_is_heard_of_in_one_read() -> None:
    """Waiting for a job just submitted is one read of the inbox."""
    core = make_core()
    played = play(wait(core, OURS, 10, fresh=True), _mail(core, *FOUND))
    assert played.value == result_of("a1")
    assert [type(effect) for effect in played.effects] == [ReadInbox]


def test_kept_mail_needs_no_read() -> None:
    """What the inbox told before is not waited for."""
    core = make_core()
    core.mailbox.put(FOUND)
    assert play(wait(core, OURS, 10, fresh=True)).value == result_of("a1")


def test_an_older_job_is_looked_up_first() -> None:
    """The key is looked at before the inbox when the job may have ended long ago."""
    played = play(wait(make_core(), OURS, 10), FOUND)
    assert (played.effects, played.value) == ([LOOK], result_of("a1"))


def test_a_hint_is_fetched() -> None:
    """An entry without the result leads to the key."""
    core = make_core()
    played = play(wait(core, OURS, 10, fresh=True), _mail(core, b'{"id":"a1"}'), FOUND)
    assert played.value == result_of("a1")
    assert played.effects[1] == LOOK


def test_a_lost_hint_is_found_by_the_key() -> None:
    """While the inbox is read the key is watched; what is found there is the result."""
    clock = Clock()
    core = make_core(clock)

    def read(effect: ReadInbox) -> None:
        clock.now += SAFETY
        assert core.lookout.due(clock.now) == ["a1"]
        core.mailbox.bring([Mail(found_key("a1"), "a1", result_of("a1"))])

    played = play(wait(core, OURS, 60, fresh=True), read)
    assert played.value == result_of("a1")
    assert isinstance(played.effects[0], ReadInbox)
    assert played.effects[0].seconds == SLICE
    clock.now += 2 * SAFETY
    assert core.lookout.due(clock.now) == []


def test_a_lost_connection_is_outlived() -> None:
    """After an error the wait pauses, looks at the key, and goes on."""
    clock = Clock()
    gone = StoreUnavailableError("gone")
    core = make_core(clock)
    plan = wait(core, OURS, 60, fresh=True)
    played = play(plan, gone, gone, NONE, _mail(core, *FOUND), clock=clock)
    assert played.value == result_of("a1")
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [ReadInbox, Sleep, Run, Sleep, Run, ReadInbox]


def test_a_wait_is_bounded() -> None:
    """At the end of its time it says what it waited for, having looked at the key once more."""
    clock = Clock()
    with pytest.raises(WaitTimeout, match="result of job a1: not within 7 s"):
        play(wait(make_core(clock), OURS, 7, fresh=True), _pass(clock), _pass(clock), NONE)


def test_a_refusal_is_no_reason_to_wait() -> None:
    """An error that will not pass by itself leaves at once."""
    with pytest.raises(StoreRefusedError):
        play(wait(make_core(), OURS, 10, fresh=True), StoreRefusedError("NOPERM"))


def test_zero_looks_once() -> None:
    """A timeout of 0 looks at the key and does not wait."""
    assert play(wait(make_core(), OURS, 0, fresh=True), FOUND).value == result_of("a1")
    with pytest.raises(WaitTimeout):
        play(wait(make_core(), OURS, 0, fresh=True), NONE)


def test_the_key_of_a_used_id_is_not_watched() -> None:
    """Nor is it left to the lookout."""
    clock = Clock()
    core = make_core(clock)
    plan = wait(core, Ticket("a1", "n1", mail=("!a1",), key_counts=False), 60)
    play(plan)
    clock.now += 2 * SAFETY
    assert core.lookout.due(clock.now) == []
    plan.close()


def test_the_key_of_a_used_id_is_not_looked_at() -> None:
    """The old result under a used ID is not taken for the duplicate's."""
    clock = Clock()
    core = make_core(clock)
    ticket = Ticket("a1", "n1", mail=("!a1",), key_counts=False)
    core.mailbox.note_reused("a1")
    duplicate = result_of("a1", JobState.DUPLICATE_ID)
    plan = wait(core, ticket, 60)
    played = play(plan, _mail(core, *FOUND), _pass(clock), _mail(core, packed(duplicate)))
    assert played.value == duplicate
    assert {type(effect) for effect in played.effects} == {ReadInbox}


def test_a_wait_given_up_leaves_no_waiter() -> None:
    """Closing the plan ends its registration; later mail is kept."""
    core = make_core()
    plan = wait(core, OURS, 10, fresh=True)
    play(plan)
    plan.close()
    assert core.mailbox.put(FOUND) == set()


def test_a_job_of_others_is_waited_for_on_its_key() -> None:
    """The list's entry is moved onto itself, which waits for it and leaves it there."""
    played = play(wait(make_core(), THEIRS, 3), NONE, FOUND[0])
    key = "corex:{job:a1}:result"
    assert played.value == result_of("a1")
    assert played.effects == [
        LOOK,
        Block(("BLMOVE", key, key, "LEFT", "LEFT", "2.000"), 2.0),
    ]


def test_without_a_connection_left_the_key_is_left_to_the_lookout() -> None:
    """When the connection for keys is in use, what the lookout finds is waited for."""
    clock = Clock()
    core = make_core(clock)

    def found(effect: ReadInbox) -> None:
        clock.now += PACE
        assert core.lookout.due(clock.now) == ["a1"]
        core.mailbox.bring([Mail(found_key("a1"), "a1", result_of("a1"))])

    busy = Unserved.BUSY
    played = play(wait(core, THEIRS, 60), NONE, busy, _pass(clock), busy, found)
    assert played.value == result_of("a1")
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [Run, Block, ReadInbox, Block, ReadInbox]


def test_who_may_only_read_waits_too() -> None:
    """A user who may neither move a result onto itself nor read an inbox looks every second."""
    clock = Clock()
    no = StoreRefusedError("NOPERM")
    played = play(wait(make_core(clock), THEIRS, 60), NONE, no, no, NONE, no, FOUND, clock=clock)
    assert played.value == result_of("a1")
    kinds = [type(effect) for effect in played.effects]
    assert kinds == [Run, Block, ReadInbox, Sleep, Run, ReadInbox, Sleep, Run]
    assert clock.now == 1002.0


def test_waiting_for_others_outlives_a_lost_connection() -> None:
    """After an error the wait on the key begins anew."""
    clock = Clock()
    plan = wait(make_core(clock), THEIRS, 60)
    played = play(plan, NONE, StoreUnavailableError("gone"), NONE, FOUND[0], clock=clock)
    assert played.value == result_of("a1")


def test_waiting_for_others_is_bounded() -> None:
    """It ends as every wait does."""
    clock = Clock()
    with pytest.raises(WaitTimeout, match="result of job a1: not within 4 s"):
        play(wait(make_core(clock), THEIRS, 4), *[NONE, _pass(clock)] * 2, NONE)


def test_answers() -> None:
    """JSON is decoded, other forms are text, a process has none, and failure is an error."""
    assert answer(result_of("a", data='{"x":1}', level=20)) == {"x": 1}
    assert answer(result_of("a", data="x: 1", level=21)) == "x: 1"
    assert answer(result_of("a")) is None
    with pytest.raises(JobFailed):
        answer(result_of("a", JobState.ERROR))
    with pytest.raises(DecodeError):
        answer(result_of("a", data="{", level=20))
