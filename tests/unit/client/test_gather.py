"""Waiting for many jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from corex.core import Core
from corex.effects import ReadInbox, Run, Sleep
from corex.gather import as_completed
from corex.lookout import MOST, SAFETY
from corex.mailbox import Mail, found_key
from corex.ticket import Ticket
from corex_shared.errors import DecodeError, StoreRefusedError, StoreUnavailableError, WaitTimeout
from corex_shared.scripts import whole
from tests.unit.client.playing import Clock, make_core, packed, play, result_of


def _ours(*jobs: str) -> list[Ticket]:
    return [Ticket(job, "n1", mail=(job,)) for job in jobs]


def _mail(core: Core, *jobs: str) -> Callable[[ReadInbox], None]:
    def read(effect: ReadInbox) -> None:
        core.mailbox.put(packed(result_of(job)) for job in jobs)

    return read


def _found_at_keys(core: Core, *jobs: str) -> Callable[[ReadInbox], None]:
    """Let the lookout find these while the inbox is read."""

    def read(effect: ReadInbox) -> None:
        core.mailbox.bring(Mail(found_key(job), job, result_of(job)) for job in jobs)

    return read


def _pass(clock: Clock) -> Callable[[Any], None]:
    def read(effect: Any) -> None:
        clock.now += effect.seconds

    return read


def _found(*jobs: str) -> Callable[[Run], list[bytes | None]]:
    """Answer a look at keys: these jobs have results."""

    def look(effect: Run) -> list[bytes | None]:
        names = [str(whole(call)[1]).split("job:")[1].split("}")[0] for call in effect.calls]
        return [packed(result_of(name)) if name in jobs else None for name in names]

    return look


def test_results_come_as_they_are_heard() -> None:
    """Each is given once, in the order of the inbox, with its place in the list."""
    core = make_core()
    plan = as_completed(core, _ours("a", "b", "c"), 10, fresh=True)
    played = play(plan, _mail(core, "c", "a"), _mail(core, "a", "b"))
    assert [(index, result.id) for index, result in played.emitted] == [
        (2, "c"),
        (0, "a"),
        (1, "b"),
    ]
    assert played.done


def test_no_jobs_are_complete_at_once() -> None:
    """Waiting for nothing costs nothing."""
    assert play(as_completed(make_core(), [], 10)).effects == []


def test_one_job_may_be_there_twice() -> None:
    """A job that is listed twice is given for both places."""
    core = make_core()
    played = play(as_completed(core, _ours("a", "a"), 10, fresh=True), _mail(core, "a"))
    assert [index for index, _ in played.emitted] == [0, 1]


def test_older_jobs_are_looked_up_first() -> None:
    """Keys are looked at before the inbox unless the jobs were just submitted."""
    core = make_core()
    plan = as_completed(core, _ours("a", "b"), 10)
    played = play(plan, _found("b"), _mail(core, "a"))
    assert [index for index, _ in played.emitted] == [1, 0]


def test_hints_are_fetched_together() -> None:
    """Entries without results lead to their keys in one round trip."""
    core = make_core()

    def hints(effect: ReadInbox) -> None:
        core.mailbox.put([b'{"id":"a"}', b'{"id":"b"}'])

    plan = as_completed(core, _ours("a", "b"), 10, fresh=True)
    played = play(plan, hints, _found("a", "b"))
    assert len(played.emitted) == 2
    assert len(played.effects[1].calls) == 2


def test_lost_hints_are_found_by_the_keys() -> None:
    """What the lookout finds is given as what the inbox tells; all that is open is watched."""
    clock = Clock()
    core = make_core(clock)
    plan = as_completed(core, _ours("a", "b"), 60, fresh=True)
    watched: list[str] = []

    def read(effect: ReadInbox) -> None:
        clock.now += SAFETY
        watched.extend(core.lookout.due(clock.now))
        _found_at_keys(core, "a", "b")(effect)

    played = play(plan, read)
    assert len(played.emitted) == 2
    assert watched == ["a", "b"]
    clock.now += 2 * SAFETY
    assert core.lookout.due(clock.now) == []


def test_a_silence_costs_a_bounded_number_of_looks() -> None:
    """With very many jobs each silence looks at some, and the next one at the next."""
    clock = Clock()
    core = make_core(clock)
    jobs = _ours(*(f"j{number}" for number in range(MOST + 10)))
    plan = as_completed(core, jobs, 60, fresh=True)
    play(plan)
    clock.now += SAFETY
    first = core.lookout.due(clock.now)
    clock.now += SAFETY
    second = core.lookout.due(clock.now)
    plan.close()
    assert len(first) == len(second) == MOST
    assert len({*first, *second}) == MOST + 10


def test_after_a_lost_connection_all_keys_are_looked_at() -> None:
    """What was told while the connection was away is not missed."""
    clock = Clock()
    plan = as_completed(make_core(clock), _ours("a", "b"), 60, fresh=True)
    played = play(plan, StoreUnavailableError("gone"), _found("a", "b"), clock=clock)
    assert played.done
    assert [type(effect) for effect in played.effects] == [ReadInbox, Sleep, Run]


def test_the_end_says_how_many_are_outstanding() -> None:
    """What came is given; then the error counts the rest."""
    clock = Clock()
    core = make_core(clock)
    plan = as_completed(core, _ours("a", "b", "c"), 4, fresh=True)
    with pytest.raises(WaitTimeout, match="2 of 3 results outstanding: not within 4 s"):
        play(plan, _mail(core, "a"), _pass(clock), _found())


def test_jobs_of_others_are_left_to_the_lookout() -> None:
    """Jobs that the inbox will not tell of are looked at once, then whenever the lookout looks."""
    core = make_core()
    plan = as_completed(core, [Ticket("a"), Ticket("b")], 60)
    played = play(plan, _found("b"), _found_at_keys(core, "a"))
    assert [index for index, _ in played.emitted] == [1, 0]
    assert [type(effect) for effect in played.effects] == [Run, ReadInbox]


def test_fresh_jobs_are_not_looked_at_with_those_of_others() -> None:
    """A mixed list has only those looked at which may have ended, and reads the inbox meanwhile."""
    core = make_core()
    plan = as_completed(core, [*_ours("mine"), Ticket("theirs")], 60, fresh=True)
    played = play(plan, _found(), _mail(core, "mine"), _found_at_keys(core, "theirs"))
    assert played.done
    looks = [effect for effect in played.effects if isinstance(effect, Run)]
    assert all(len(effect.calls) == 1 for effect in looks)


def test_a_result_that_cannot_be_read_is_its_waiters_error() -> None:
    """A find without result leads to the key, whose error is raised here and not elsewhere."""
    core = make_core()

    def read(effect: ReadInbox) -> None:
        core.mailbox.bring([Mail(found_key("a"), "a", None)])

    plan = as_completed(core, _ours("a"), 60, fresh=True)
    with pytest.raises(DecodeError):
        play(plan, read, [b"junk"])


def test_who_may_not_read_an_inbox_gathers_jobs_of_others() -> None:
    """Their keys are looked at every second; one's own jobs need an inbox."""
    no = StoreRefusedError("NOPERM")
    played = play(as_completed(make_core(), [Ticket("a")], 60), _found(), no, _found("a"))
    assert [type(effect) for effect in played.effects] == [Run, ReadInbox, Sleep, Run]
    assert played.done
    with pytest.raises(StoreRefusedError):
        play(as_completed(make_core(), _ours("a"), 60, fresh=True), no)
