"""Messages addressed by level within output."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.process.inband import InBand, Piece

OUT = 1


def _parts(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def _read(parts: list[bytes]) -> list[Piece]:
    """Read a stream, neighbours of plain output joined, as cuts may part them anywhere."""
    stream = InBand(OUT)
    pieces = [piece for part in parts for piece in stream.feed(part)] + stream.finish()
    joined: list[Piece] = []
    for piece in pieces:
        if joined and not piece.addressed and not joined[-1].addressed:
            joined[-1] = Piece(OUT, joined[-1].text + piece.text, False)
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("plain\n", [(1, "plain\n")]),
        ("no end", [(1, "no end")]),
        ("20::{}\n", [(20, "{}")]),
        ("20::{}", [(20, "{}")]),
        ("a\n20::1\nb\n", [(1, "a\n"), (20, "1"), (1, "b\n")]),
        ("2001::1\n", [(1, "2001::1\n")]),
        (" 20::1\n", [(1, " 20::1\n")]),
        ("12::1\n", [(1, "12::1\n")]),
        ("2::oops\n", [(2, "oops\n")]),
        ("20:::\n{\n}\n:::\nafter\n", [(20, "{\n}"), (1, "after\n")]),
        ("20:::\n{\n", [(20, "{")]),
        ("20:::x\ny\n:::\n20::z\n", [(20, "x\ny"), (20, "z")]),
        ("20:::\n:::\n30::j\n", [(20, ""), (30, "j")]),
        ("9:::\na ::: b\n::::\n:::\n", [(9, "a ::: b\n::::")]),
        ("a\n\n", [(1, "a\n\n")]),
        ("30::\r\n", [(30, "")]),
    ],
)
def test_messages_are_told_from_plain_output(text: str, pieces: list[tuple[int, str]]) -> None:
    """Headers count at the start of a line and with a known level only."""
    assert [(piece.level, piece.text) for piece in _read([text.encode()])] == pieces


_ALPHABET = st.sampled_from([*"0123456789:\r\n", "20::", "7:::\n", ":::\n", "é", "text", "2001::1"])


@given(st.lists(_ALPHABET, max_size=30), st.lists(st.integers(0, 200), max_size=12))
def test_cuts_change_nothing(words: list[str], cuts: list[int]) -> None:
    """Wherever a stream is cut into reads, the same messages and output come of it."""
    data = "".join(words).encode()
    assert _read(_parts(data, cuts)) == _read([data])


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=12))
def test_hostile_bytes(data: bytes, cuts: list[int]) -> None:
    """No bytes upset it, and those that address no message come out as they went in."""
    pieces = _read(_parts(data, cuts))
    if not any(piece.addressed for piece in pieces):
        assert "".join(piece.text for piece in pieces) == data.decode("utf-8", "replace")


def test_a_partial_line_is_given_when_asked_for() -> None:
    """A prompt is seen; the rest of its line is plain even if it looks like a header."""
    stream = InBand(OUT)
    assert stream.feed(b"name? ") == []
    assert stream.holds
    assert stream.flush() == [Piece(OUT, "name? ", False)]
    assert stream.feed(b"20::x\n") == [Piece(OUT, "20::x\n", False)]


def test_what_may_become_a_header_is_held() -> None:
    """The beginning of a message is not taken for a prompt."""
    stream = InBand(OUT)
    for part in (b"2", b"0", b":", b":", b"{"):
        assert stream.feed(part) == []
        assert stream.flush() == []
    assert stream.feed(b"}\n") == [Piece(20, "{}", True)]


def test_a_line_without_end_costs_no_memory() -> None:
    """A line of many megabytes is passed on in parts, whole in the end."""
    stream = InBand(OUT)
    got = 0
    for _ in range(100):
        got += sum(len(piece.text) for piece in stream.feed(b"x" * 65536))
    got += sum(len(piece.text) for piece in stream.finish())
    assert got == 100 * 65536


def test_a_block_without_end_comes_in_parts() -> None:
    """A block that never ends is passed on before it costs memory."""
    stream = InBand(OUT)
    assert stream.feed(b"7:::\n") == []
    pieces = [piece for _ in range(100) for piece in stream.feed(b"x" * 65535 + b"\n")]
    assert pieces
    assert {piece.level for piece in pieces} == {7}
