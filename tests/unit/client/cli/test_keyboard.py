"""Keys, out of what a terminal sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex.cli.screen.keyboard import Keyboard


@pytest.mark.parametrize(
    "data,keys",
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        (
            b"\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1~\x1b[4~",
            ["page up", "page down", *["home", "end"] * 2],
        ),
        (b"\r\n\t\x7f\x08", ["enter", "enter", "tab", "backspace", "backspace"]),
        ("é€".encode(), ["é", "€"]),
        (b"\x1b[200~x\x1b[1;5A", ["x"]),
        (b"\x1bq\x1b\x1b[A", ["up"]),
        (b"\xff", ["\ufffd"]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    """Sequences that mean nothing here, and keys with Alt, are passed over."""
    assert Keyboard().feed(data) == keys


def test_a_lone_escape_is_told_when_nothing_follows() -> None:
    board = Keyboard()
    assert board.feed(b"\x1b") == []
    assert (board.waits, board.flush(), board.waits) == (True, ["escape"], False)
    assert board.flush() == []


@given(st.binary(max_size=40), st.integers(min_value=1, max_value=5))
def test_pieces_say_what_the_whole_says(data: bytes, size: int) -> None:
    """However it is cut, and whatever it is; nothing is held back for ever."""
    whole, pieces = Keyboard(), Keyboard()
    expected = whole.feed(data)
    found = [key for at in range(0, len(data), size) for key in pieces.feed(data[at : at + size])]
    assert found == expected
    assert pieces.flush() == whole.flush()
