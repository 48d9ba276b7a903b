"""Small graphs of one line, made of block characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int, top: float) -> str:
    """Draw the last values, the newest at the right.

    Args:
        values: the oldest first; None where there is none.
        width: characters.
        top: the value of a full block; higher ones are drawn as one.
    """
    shown = list(values[-width:]) if width > 0 else []
    return "".join([" " * (width - len(shown)), *(_block(value, top) for value in shown)])


def _block(value: float | None, top: float) -> str:
    if value is None:
        return " "
    share = min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
