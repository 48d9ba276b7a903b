"""The store of what the inbox told."""

from __future__ import annotations

import msgspec
import pytest

from corex.mailbox import GIVEN_SECONDS, Mail, Mailbox, duplicate_key, found_key
from corex_shared.states import JobState
from tests.unit.client.playing import packed, result_of


def test_mail_for_a_waiter_is_ready_at_once() -> None:
    """An entry goes to the one who waits for its job, and wakes only that one."""
    box = Mailbox()
    mine, other = box.open(["a"]), box.open(["b"])
    woken = box.put([packed(result_of("a"))])
    assert woken == {mine}
    assert [mail.result for mail in mine.take()] == [result_of("a")]
    assert not other.ready


def test_mail_that_nobody_waits_for_is_kept() -> None:
    """Who comes to wait later finds it, once."""
    box = Mailbox()
    box.put([packed(result_of("a"))])
    assert [mail.job for mail in box.open(["a"]).take()] == ["a"]
    assert not box.open(["a"]).ready


def test_all_who_wait_for_a_job_get_its_mail() -> None:
    """Two threads may wait for one job."""
    box = Mailbox()
    waiters = [box.open(["a"]), box.open(["a"])]
    assert box.put([packed(result_of("a"))]) == set(waiters)
    assert all(len(waiter.take()) == 1 for waiter in waiters)


def test_what_a_waiter_did_not_take_is_kept() -> None:
    """A wait that is given up loses nothing for the next one."""
    box = Mailbox()
    waiter = box.open(["a"])
    box.put([packed(result_of("a"))])
    box.close(waiter)
    assert box.open(["a"]).ready


def test_a_closed_waiter_gets_nothing() -> None:
    """Mail after a closed wait is kept for the next."""
    box = Mailbox()
    waiter = box.open(["a"])
    box.close(waiter)
    assert box.put([packed(result_of("a"))]) == set()
    assert not waiter.ready
    assert box.open(["a"]).ready


def test_a_hint_says_to_fetch() -> None:
    """An entry with only an ID stands for a result too large for the inbox."""
    box = Mailbox()
    waiter = box.open(["a", "b"])
    box.put([msgspec.msgpack.encode({"id": "a"}), b'{"id": "b"}'])
    assert [(mail.job, mail.result) for mail in waiter.take()] == [("a", None), ("b", None)]


def test_junk_is_passed_over() -> None:
    """Whoever may push to an inbox can push junk; nothing comes of it."""
    box = Mailbox()
    junk = [b"", b"x", b"{", b"[1]", b'{"id": 1}', b'{"id": "a b"}', b'{"id":"a","state":"WHAT"}']
    assert box.put(junk) == set()


def test_the_store_is_bounded() -> None:
    """The oldest entries go first; their truth is the result key."""
    box = Mailbox(limit=2)
    box.put(packed(result_of(job)) for job in ("a", "b", "c"))
    assert not box.open(["a"]).ready
    assert box.open(["b", "c"]).ready


def test_the_second_copy_of_a_repeated_push_is_no_news() -> None:
    """A duplicate that a repeated push brought about is not taken for the job's result."""
    box = Mailbox()
    box.note_repeated("a")
    waiter = box.open(["a"])
    box.put([packed(result_of("a", JobState.DUPLICATE_ID))])
    assert not waiter.ready
    box.put([packed(result_of("a"))])
    assert waiter.ready


@pytest.mark.parametrize("late", [True, False])
def test_a_withdrawn_job_is_no_duplicate(late: bool) -> None:
    """A node that claimed it meanwhile says so of it, before or after the withdrawal is known."""
    box = Mailbox()
    duplicate = packed(result_of("a", JobState.DUPLICATE_ID))
    if not late:
        box.put([duplicate])
    box.note_withdrawn("a")
    if late:
        box.put([duplicate])
    waiter = box.open(["a"])
    assert not waiter.ready
    killed = result_of("a", JobState.KILLED)
    box.put([packed(killed)])
    assert [mail.result for mail in waiter.take()] == [killed]


def test_an_id_that_is_used_again_after_a_withdrawal_is_in_use() -> None:
    """Its second job hears of that."""
    box = Mailbox()
    box.note_withdrawn("a")
    box.note_reused("a")
    second = box.open([duplicate_key("a")])
    box.put([packed(result_of("a", JobState.DUPLICATE_ID))])
    assert second.ready


def test_a_duplicate_is_told_to_the_one_who_sent_it() -> None:
    """When the first job with an ID is this client's too, each of the two gets its own result."""
    box = Mailbox()
    box.note_reused("a")
    first, second = box.open(["a"]), box.open([duplicate_key("a")])
    box.put([packed(result_of("a", JobState.DUPLICATE_ID)), packed(result_of("a"))])
    assert [mail.result for mail in first.take()] == [result_of("a")]
    assert [mail.result for mail in second.take()] == [result_of("a", JobState.DUPLICATE_ID)]


def test_a_duplicate_of_somebody_elses_job_is_the_result() -> None:
    """Whoever sent a used ID for the first time hears that it is a duplicate."""
    box = Mailbox()
    waiter = box.open(["a"])
    box.put([packed(result_of("a", JobState.DUPLICATE_ID))])
    assert waiter.ready


def test_a_chosen_id_is_free_again_once_its_result_was_heard() -> None:
    """An ID counts as in use from its push to its result, or for a while if that is not heard."""
    box = Mailbox()
    assert not box.note_given("a", 0.0)
    assert box.note_given("a", 1.0)
    box.put([packed(result_of("a"))])
    assert not box.note_given("a", 2.0)
    assert not box.note_given("a", 2.0 + GIVEN_SECONDS)


def test_what_was_found_at_a_key_is_not_kept() -> None:
    """It is brought to those who wait; who comes later looks at the key by himself."""
    mailbox = Mailbox()
    found = Mail(found_key("a"), "a", result_of("a"))
    assert mailbox.bring([found]) == set()
    waiter = mailbox.open(["a", found_key("a")])
    assert mailbox.bring([found]) == {waiter}
    mailbox.close(waiter)
    assert not mailbox.open(["a", found_key("a")]).ready
