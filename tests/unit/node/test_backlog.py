"""Messages that wait for Redis."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corex_node.backlog import Backlog
from corex_node.ticket import Source, Ticket

TICKET = Ticket(Source.COMMANDS, 1, "@1")

adds = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2]), st.text("xy\n", min_size=1)),
    max_size=50,
)


def _filled(items: list[tuple[str, int, str]]) -> Backlog:
    backlog = Backlog()
    for job, level, text in items:
        backlog.add(job, TICKET, level, text)
    return backlog


@given(adds)
def test_all_is_taken_in_order(items: list[tuple[str, int, str]]) -> None:
    """Neighbours of one level become one message; no text is lost or moved."""
    taken = {job.job_id: job.take() for job in _filled(items).take()}
    assert set(taken) == {job for job, _, _ in items}
    for job, messages in taken.items():
        levels = [message.level for message in messages]
        assert all(one != other for one, other in pairwise(levels))
        by_character = [(m.level, character) for m in messages for character in m.text]
        assert by_character == [
            (level, character) for name, level, text in items if name == job for character in text
        ]


@given(adds, st.integers(0, 3000))
def test_what_is_dropped_is_the_oldest_and_counted(
    items: list[tuple[str, int, str]], limit: int
) -> None:
    """Dropped and kept together are the whole; what is kept is the end."""
    backlog = _filled(items)
    dropped = backlog.shrink(limit)
    assert backlog.size <= limit
    jobs = backlog.take()
    assert sum(job.dropped for job in jobs) == dropped
    for job in jobs:
        whole = "".join(text for name, _, text in items if name == job.job_id)
        kept = "".join(message.text for message in job.messages)
        assert whole.endswith(kept)
        assert job.dropped + len(kept) == len(whole)


def test_a_drop_is_told_by_a_warning_before_what_is_left() -> None:
    """The job's next message is of level 7 and has the number of characters."""
    backlog = _filled([("a", 1, "x" * 100), ("a", 2, "kept")])
    assert backlog.shrink(backlog.size - 1) == 100
    messages = backlog.take()[0].take()
    assert [message.level for message in messages] == [7, 2]
    assert "100 characters" in messages[0].text


def test_no_job_pays_for_all() -> None:
    """Jobs lose their oldest in turn."""
    items = [(job, level, "x" * 100) for _ in range(5) for job in "ab" for level in (1, 2)]
    backlog = _filled(items)
    backlog.shrink(backlog.size // 2)
    dropped = [job.dropped for job in backlog.take()]
    assert min(dropped) >= max(dropped) - 100
    assert min(dropped) > 0


def test_taking_leaves_nothing() -> None:
    """It counts as empty, and begins anew."""
    backlog = _filled([("a", 1, "x")])
    assert backlog
    backlog.take()
    assert not backlog
    assert backlog.size == 0
    assert backlog.take() == []


def test_long_texts_are_not_merged_without_end() -> None:
    """A message does not grow beyond 64 KiB by merging."""
    backlog = _filled([("a", 1, "x" * 10_000)] * 20)
    sizes = [len(message.text) for message in backlog.take()[0].take()]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 64 * 1024
