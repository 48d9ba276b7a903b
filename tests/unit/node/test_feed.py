"""One subscription to the log of a node's jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.feed import Feed, FeedLimits, Record, Records
from corex_node.feed_store import FeedBatch, Lengths

LEVELS = frozenset({1, 2})
LIMITS = FeedLimits(waiting=5, listed=4, patience=100, look=10)


def _feed(limits: FeedLimits = LIMITS) -> Feed:
    """One that has looked at its list for the first time."""
    feed = Feed("q", LEVELS, limits, 0.0)
    assert feed.is_due(0)
    assert feed.batch("n1", 1, 1).records == []
    return feed


def _add(feed: Feed, texts: Iterable[str]) -> None:
    for text in texts:
        feed.add(Record("j1", 2, text, 7))


def _take(feed: Feed, most: int = 100, size: int = 10_000) -> FeedBatch:
    return feed.batch("n1", most, size)


def _read(batch: FeedBatch) -> list[tuple[int, str]]:
    records = [json.loads(record) for record in batch.records]
    return [(record["seq"], record["message"]) for record in records]


@given(st.lists(st.text("xy")), st.integers(1, 10), st.integers(0, 3000))
def test_the_newest_records_are_kept(texts: list[str], most: int, size: int) -> None:
    """As many as the bounds allow, the last in any case; what is dropped is counted."""
    records = Records(most, size)
    dropped = sum(records.append(Record("j", 1, text, 0)) for text in texts)
    kept = list(records)
    assert [record.text for record in kept] == texts[dropped:]
    assert len(kept) == min(1, len(texts)) or (
        len(kept) <= most and sum(record.weight for record in kept) <= size
    )
    if dropped:
        one_more = sum(200 + len(text) for text in texts[dropped - 1 :])
        assert len(kept) == most or one_more > size


def test_records_are_taken_oldest_first_and_one_at_least() -> None:
    """A record that is too large for a batch is a batch of its own."""
    records = Records(100, 10**9)
    for text in ("a" * 1000, "b", "c", "d"):
        records.append(Record("j", 1, text, 0))
    assert [record.text[0] for record in records.take(10, 1)] == ["a"]
    assert [record.text for record in records.take(2, 10_000)] == ["b", "c"]
    assert [record.text for record in records.take(2, 10_000)] == ["d"]
    assert records.take(2, 10_000) == []
    assert len(records) == 0


def test_a_record_is_a_message() -> None:
    """It has the fields of a message of a job."""
    feed = _feed()
    _add(feed, ["text ä"])
    [record] = _take(feed).records
    assert json.loads(record) == {
        "job": "j1",
        "node": "n1",
        "seq": 0,
        "level": 2,
        "flags": 0,
        "message": "text ä",
        "epoch": 7,
    }


def test_half_a_surrogate_pair_is_written_as_what_it_is() -> None:
    """Text that has no form in UTF-8 is no reason to lose anything."""
    feed = _feed()
    _add(feed, ["odd \udcff", "even"])
    assert _read(_take(feed)) == [(0, "odd \\udcff"), (1, "even")]


def test_seq_counts_on_from_batch_to_batch() -> None:
    """No number is left out as long as nothing is dropped."""
    feed = _feed()
    _add(feed, "abc")
    first = _take(feed, most=2)
    _add(feed, "d")
    second = _take(feed)
    assert (first.first, _read(first)) == (0, [(0, "a"), (1, "b")])
    assert (second.first, _read(second)) == (2, [(2, "c"), (3, "d")])
    assert first.subscription == second.subscription


def test_a_drop_is_a_gap() -> None:
    """Who reads sees by the numbers how many are missing."""
    feed = _feed()
    _add(feed, "abc")
    _take(feed, most=1)
    _add(feed, "defgh")
    assert feed.dropped == 2
    assert _read(_take(feed)) == [(3, "d"), (4, "e"), (5, "f"), (6, "g"), (7, "h")]


def test_a_list_keeps_what_an_earlier_agent_wrote_until_it_is_full() -> None:
    """The bound in numbers holds for all that is there; the one in bytes for what is known."""
    feed = _feed(FeedLimits(listed=100, listed_size=1000))
    assert _take(feed).kept == 100
    _add(feed, "a")
    assert _take(feed).kept == 100
    _add(feed, ["x" * 400, "y" * 400])
    batch = _take(feed)
    assert sum(len(record) for record in batch.records) < 1000
    assert batch.kept == 2


def test_a_list_keeps_the_last_record_however_large() -> None:
    """Otherwise it would never be seen."""
    feed = _feed(FeedLimits(listed_size=1000))
    _add(feed, ["a", "x" * 5000])
    assert _take(feed).kept == 1


def test_a_feed_is_due_when_there_is_something_to_write_or_to_see() -> None:
    """A list that was empty when it was seen last has nothing to show."""
    feed = _feed()
    feed.observe(Lengths(0, 0), 0)
    assert not feed.is_due(1000)
    _add(feed, "a")
    assert feed.is_due(1)
    _take(feed)
    feed.observe(Lengths(0, 1), 1)
    assert not feed.is_due(10.9)
    assert feed.is_due(11)


def _unread(feed: Feed, times: Iterable[float], length: int = 5) -> list[bool]:
    """See a list whose length does not change, at these times."""
    return [feed.observe(Lengths(length, length), time) for time in times]


def test_a_list_that_nobody_reads_is_given_up_in_the_end() -> None:
    """It had its time since it was seen first."""
    feed = _feed()
    assert feed.observe(Lengths(0, 5), 0)
    assert _unread(feed, range(10, 100, 10)) == [True] * 9
    assert _unread(feed, [100]) == [False]


def test_a_full_list_that_is_written_to_is_no_sign_of_a_reader() -> None:
    """Its length stays the same because its oldest are cut off."""
    feed = _feed()
    feed.observe(Lengths(0, 4), 0)
    seen = []
    for time in range(10, 110, 10):
        _add(feed, "a")
        assert len(_take(feed).records) == 1
        seen.append(feed.observe(Lengths(4, 4), time))
    assert seen == [True] * 9 + [False]


def test_whoever_reads_is_given_time_anew() -> None:
    """Even one record that was taken shows that somebody is there."""
    feed = _feed()
    feed.observe(Lengths(0, 5), 0)
    _unread(feed, range(10, 100, 10))
    assert feed.observe(Lengths(4, 9), 100)
    assert feed.heard_of == 100
    assert _unread(feed, range(110, 200, 10), 9) == [True] * 9
    assert _unread(feed, [200], 9) == [False]


def test_whoever_subscribes_again_is_given_time_anew() -> None:
    """The next look renews the list's life too."""
    feed = _feed()
    feed.observe(Lengths(0, 5), 0)
    _unread(feed, range(10, 100, 10))
    assert _take(feed).known == 5
    feed.renew(frozenset({9}), 99)
    assert feed.levels == {9}
    assert feed.heard_of == 99
    assert feed.is_due(99)
    assert _take(feed).known > 5
    assert _unread(feed, range(100, 200, 10)) == [True] * 10
    assert _unread(feed, [200]) == [False]


def test_a_subscription_that_is_renewed_while_it_is_written_is_looked_at_once_more() -> None:
    """What was under way was asked for before."""
    feed = _feed()
    feed.observe(Lengths(0, 5), 0)
    assert _take(feed).known == 5
    feed.renew(LEVELS, 10)
    feed.observe(Lengths(5, 5), 11)
    assert feed.is_due(11)
    assert _take(feed).known > 5


def test_time_in_which_nothing_could_be_seen_counts_little() -> None:
    """Redis may have been away for the reader as well."""
    feed = _feed()
    feed.observe(Lengths(0, 5), 0)
    assert _unread(feed, [1000, 2000, 3000, 4000]) == [True] * 4
    assert _unread(feed, [5000]) == [False]


@pytest.mark.parametrize("patience, look", [(600.0, 30.0), (1.0, 0.1)])
def test_a_list_outlives_the_patience_of_its_node(patience: float, look: float) -> None:
    """That a list expired must never look as if it was read."""
    limits = FeedLimits(patience=patience, look=look)
    assert limits.ttl_ms > (patience + 2 * look) * 1000
