"""Tables that fit: of a terminal's width, and of any width in a pipe.

What is too wide is cut with an ellipsis as far as its column allows; then columns are left out,
those of least use first. A line is never broken.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corex.cli.escape import safe_cell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = 2
"""Blanks between two columns."""
UNBOUNDED = 100_000
"""Width of what has no edge."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: its head.
        right: whether it is flush right, as numbers are.
        least: width to which it may be cut; None for one that is whole or not there.
        rank: which columns are left out first where there is no room: those of the highest rank;
            those of rank 0 never are.
        usual: width that it has at least, so that it does not change with every number in it.
    """

    title: str
    right: bool = False
    least: int | None = None
    rank: int = 0
    usual: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says, which may be a stranger's words.
        style: how it looks on a terminal.
        drawn: it was drawn by us, blanks and all: nothing in it is to be made harmless.
    """

    text: str
    style: str = ""
    drawn: bool = False


def console_of_stdout() -> Console:
    """Make a console that colours only a terminal, and has an edge only there."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what the locale cannot write
    return Console(
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=terminal,
        width=None if terminal else UNBOUNDED,
    )


def put_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table to stdout."""
    console = console_of_stdout()
    for line in lines_of(columns, rows, console.width):
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def lines_of(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[Text]:
    """Lay out a table: its head and its rows, none wider than told."""
    from rich.cells import cell_len

    shown = [[cell.text if cell.drawn else safe_cell(cell.text) for cell in row] for row in rows]
    natural = [
        max([column.usual, cell_len(column.title), *(cell_len(row[at]) for row in shown)])
        for at, column in enumerate(columns)
    ]
    empty = {at for at in range(len(columns)) if not any(row[at] for row in shown)}
    chosen = _fit(columns, natural, empty, width)
    head = [Cell(column.title, "bold") for column in columns]
    lines = [_line(columns, chosen, head, [column.title for column in columns])]
    lines += [_line(columns, chosen, row, texts) for row, texts in zip(rows, shown, strict=True)]
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis")  # of columns that may neither be cut nor left out
    return lines


def _fit(
    columns: Sequence[Column], natural: Sequence[int], empty: set[int], width: int
) -> dict[int, int]:
    """Choose columns and their widths, by their places."""
    widths = dict(enumerate(natural))
    while True:
        excess = sum(widths.values()) + GAP * (len(widths) - 1) - width
        if excess <= 0:
            return widths
        room = {
            at: widths[at] - least
            for at in widths
            if (least := columns[at].least) is not None and widths[at] > least
        }
        droppable = [at for at in widths if columns[at].rank]
        if excess <= sum(room.values()) and not any(at in empty for at in droppable):
            return _cut(widths, room, excess)
        if not droppable:
            return _cut(widths, room, min(excess, sum(room.values())))
        del widths[max(droppable, key=lambda at: (at in empty, columns[at].rank))]


def _cut(widths: dict[int, int], room: dict[int, int], excess: int) -> dict[int, int]:
    """Take width away, from the widest first, so that those that are cut end up alike."""
    widths, room = dict(widths), dict(room)
    while excess > 0:
        at = max((at for at in room if room[at] > 0), key=lambda at: widths[at])
        others = [widths[other] for other in room if other != at and room[other] > 0]
        step = max(1, min(excess, room[at], widths[at] - max(others, default=0)))
        widths[at] -= step
        room[at] -= step
        excess -= step
    return widths


def _line(
    columns: Sequence[Column], widths: dict[int, int], row: Sequence[Cell], texts: Sequence[str]
) -> Text:
    from rich.text import Text

    line = Text()
    last = max(widths)
    for at, width in widths.items():
        cell = Text(texts[at], style=row[at].style)
        cell.truncate(width, overflow="ellipsis")
        blanks = " " * (width - cell.cell_len)
        if columns[at].right:
            line.append(blanks).append_text(cell)
        else:
            line.append_text(cell).append(blanks if at != last else "")
        if at != last:
            line.append(" " * GAP)
    return line
