"""Tables fit, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex.cli.table import GAP, Cell, Column, lines_of, put_table

COLUMNS = (
    Column("NODE", least=4),
    Column("N", right=True, rank=1),
    Column("TAGS", least=3, rank=2),
    Column("COMMAND", least=5),
)
ROW = [Cell("web-1"), Cell("17"), Cell("nightly"), Cell("sleep 1000")]


def _lines(width: int, *rows: list[Cell]) -> list[str]:
    return [line.plain for line in lines_of(COLUMNS, rows or [ROW], width)]


@pytest.mark.parametrize(
    "width,lines",
    [
        (80, ["NODE    N  TAGS     COMMAND", "web-1  17  nightly  sleep 1000"]),
        (30, ["NODE    N  TAGS     COMMAND", "web-1  17  nightly  sleep 1000"]),
        (26, ["NODE    N  TAGS    COMMAND", "web-1  17  night…  sleep …"]),
        (20, ["NODE   N  TA…  COMM…", "web…  17  ni…  slee…"]),
        (19, ["NODE    N  COMMAND", "web-1  17  sleep 1…"]),
        (14, ["NODE   COMMAND", "web-1  sleep …"]),
        (8, ["NODE  C…", "web…  s…"]),
    ],
)
def test_what_has_no_room_is_cut_and_then_left_out(width: int, lines: list[str]) -> None:
    """The widest are cut first; columns of the highest rank go first, those of none never."""
    assert _lines(width) == lines


def test_an_empty_column_goes_before_any_is_cut() -> None:
    empty = [Cell("web-1"), Cell("17"), Cell(""), Cell("sleep 1000")]
    assert _lines(22, empty) == ["NODE    N  COMMAND", "web-1  17  sleep 1000"]


def test_a_strangers_words_are_text() -> None:
    """Neither control sequences nor markup nor line breaks; as wide as they look."""
    row = [Cell("a\x1b[31mb"), Cell(""), Cell("[bold]x"), Cell("one\ntwo\u202e")]
    assert _lines(99, row) == [
        "NODE        N  TAGS     COMMAND",
        "a\\x1b[31mb     [bold]x  one two\\u202e",
    ]


def test_wide_characters_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(COLUMNS, [[Cell("節点"), Cell("1"), Cell("t"), Cell("c")]])
    assert capsys.readouterr().out == "NODE  N  TAGS  COMMAND\n節点  1  t     c\n"


texts = st.text(max_size=30) | st.sampled_from(["節点節点節", "\x1b]0;x\x07", "e\u0301" * 5, ""])


@given(
    st.integers(min_value=1, max_value=60),
    st.lists(st.tuples(texts, texts, texts, texts), max_size=4),
)
def test_no_line_is_ever_wider(width: int, rows: list[tuple[str, str, str, str]]) -> None:
    lines = lines_of(COLUMNS, [[Cell(text) for text in row] for row in rows], width)
    assert len(lines) == len(rows) + 1
    assert all(line.cell_len <= width for line in lines)
    assert all("\n" not in line.plain and "\x1b" not in line.plain for line in lines)
    assert GAP == 2
