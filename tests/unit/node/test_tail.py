"""The last part of a stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corex_node.process.tail import Tail


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(0, 100))
def test_it_keeps_the_last_bytes_and_counts_all(parts: list[bytes], limit: int) -> None:
    """Whatever the parts, the end of the whole is kept, but for a cut character."""
    tail, whole = Tail(limit), b"".join(parts)
    for part in parts:
        tail.feed(part)
    assert tail.total == len(whole)
    assert tail.truncated is (len(whole) > limit)
    kept = whole[len(whole) - limit :] if len(whole) > limit else whole
    cuts = [kept[cut:].decode("utf-8", "replace") for cut in range(4)]
    assert tail.text() in (cuts if tail.truncated else cuts[:1])


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 40))
def test_no_character_is_broken(text: str, limit: int) -> None:
    """Of a text the kept part is the end of it, in whole characters."""
    tail = Tail(limit)
    for byte in text.encode():
        tail.feed(bytes([byte]))
    assert text.endswith(tail.text())
    assert len(tail.text().encode()) > limit - 4 or tail.text() == text


def test_nothing() -> None:
    """A silent stream has no text."""
    tail = Tail(10)
    assert (tail.text(), tail.total, tail.truncated) == ("", 0, False)


def test_at_the_limit_nothing_is_lost() -> None:
    """A stream of just the limit is whole."""
    tail = Tail(4)
    tail.feed(b"ab")
    tail.feed(b"cd")
    assert (tail.text(), tail.truncated) == ("abcd", False)
    tail.feed(b"e")
    assert (tail.text(), tail.truncated, tail.total) == ("bcde", True, 5)


def test_bad_bytes_are_replaced() -> None:
    """What is no UTF-8 becomes U+FFFD."""
    tail = Tail(10)
    tail.feed(b"a\xffb")
    assert tail.text() == "a\ufffdb"
