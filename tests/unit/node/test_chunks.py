"""Bytes to text in whole lines, over any split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corex_node.process.chunks import LineChunks

texts = st.text(st.sampled_from("a\näö€𝄞\r \x00"), max_size=60)


def _parts(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.binary(max_size=100) | texts.map(str.encode), st.lists(st.integers(0, 1000), max_size=20))
def test_all_of_it_arrives_once(data: bytes, cuts: list[int]) -> None:
    """However the bytes are split, the text is that of the whole, in whole lines."""
    chunks = LineChunks()
    given_out = [chunks.feed(part) for part in _parts(data, cuts)]
    assert all(text == "" or text.endswith("\n") for text in given_out)
    rest = chunks.finish()
    assert "\n" not in rest
    assert "".join(given_out) + rest == data.decode("utf-8", "replace")
    assert not chunks.holds


@given(texts, st.lists(st.integers(0, 1000), max_size=20))
def test_flushing_all_the_time_splits_no_character(text: str, cuts: list[int]) -> None:
    """Parts of lines that are asked for hold whole characters only."""
    chunks = LineChunks()
    seen = []
    for part in _parts(text.encode(), cuts):
        seen += [chunks.feed(part), chunks.flush()]
        assert not chunks.holds
    seen.append(chunks.finish())
    assert "".join(seen) == text
    assert not any("\ufffd" in piece for piece in seen)


def test_part_of_a_line_is_held_and_given_on_demand() -> None:
    """A prompt is told to be held, and is given without its newline."""
    chunks = LineChunks()
    assert chunks.feed(b"one\npass") == "one\n"
    assert chunks.holds
    assert chunks.flush() == "pass"
    assert chunks.flush() == ""
    assert chunks.feed(b"word\n") == "word\n"


def test_a_line_without_end_is_not_held_for_ever() -> None:
    """What has grown beyond 64 KiB is given in part."""
    chunks = LineChunks()
    given_out = "".join(chunks.feed(b"x" * 1000) for _ in range(200))
    assert len(given_out) > 100_000


def test_an_unfinished_character_at_the_end() -> None:
    """It is replaced when the stream ends."""
    chunks = LineChunks()
    assert chunks.feed(b"a\xe2\x82") == ""
    assert chunks.flush() == "a"
    assert chunks.finish() == "\ufffd"
