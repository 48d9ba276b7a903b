"""What both drivers do with an inbox."""

from __future__ import annotations

from typing import Any

from corex_shared.scripts import Call

BATCH = 1000
"""Entries taken at once, besides the one that was waited for."""
_SHORTEST_BLOCK = 0.01
"""Older servers round a shorter block down to 0, which means for ever."""


def inbox_calls(key: str, seconds: float) -> list[Call]:
    """Make the commands that wait for an entry and take those behind it, in one round trip."""
    take: Call = ("LPOP", key, BATCH)
    if seconds < _SHORTEST_BLOCK:
        return [take]
    return [("BLPOP", key, f"{seconds:.3f}"), take]


def inbox_entries(replies: list[Any]) -> list[bytes]:
    """Read the answers to `inbox_calls`."""
    first = [replies[0][1]] if len(replies) > 1 and replies[0] else []
    return first + (replies[-1] or [])
