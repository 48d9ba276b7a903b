"""What is known of a claimed payload."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corex_node.numbers import ClaimNumbers
from corex_node.ticket import LogWindow, Source, Ticket, claimed_field


def test_messages_count_from_zero() -> None:
    """Each takes the next number."""
    ticket = Ticket(Source.COMMANDS, 7, "@7")
    assert [ticket.take_seq() for _ in range(3)] == [0, 1, 2]


def test_a_claim_has_one_name() -> None:
    """It is made of node and number, whichever list it came from."""
    assert Ticket(Source.CONTROL, 7, "!7").claim("n1") == "n1/7"
    assert claimed_field(Source.COMMANDS, 7) == "@7"
    assert claimed_field(Source.CONTROL, 7) == "!7"


@given(st.lists(st.integers(0, 50)), st.integers(0, 100))
def test_a_log_keeps_the_last_messages_that_fit(sizes: list[int], limit: int) -> None:
    """What is kept fits the limit, or is the last message alone; one more would not fit."""
    window = LogWindow(limit)
    for size in sizes:
        window.append(size)
    kept = sizes[window.first :]
    assert sum(kept) <= limit or len(kept) == 1
    if window.first:
        assert sum(sizes[window.first - 1 :]) > limit


def test_numbers_of_claims_rise() -> None:
    """They count on from the server's time, over batches."""
    numbers = ClaimNumbers(1_700_000_000_000)
    first = numbers.reserve(10)
    assert numbers.reserve(1) == first + 10
    assert numbers.reserve(5) == first + 11


def test_a_successor_begins_beyond() -> None:
    """Numbers of a later start are higher as long as fewer than 1,000 a ms were claimed."""
    before = ClaimNumbers(1_700_000_000_000)
    last = before.reserve(999_999) + 999_998
    assert ClaimNumbers(1_700_000_001_000).reserve(1) > last


def test_lua_counts_them_exactly() -> None:
    """They stay below 2**53 for as long as it matters."""
    assert ClaimNumbers(4_102_444_800_000).reserve(1) < 2**53  # the year 2100
