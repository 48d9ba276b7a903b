"""Small files of /proc, /sys and /etc."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")
_digits = re.compile(r"\s*(-?[0-9]{1,20})").match


def read_text(path: Path) -> str:
    """Read a file; empty when it is missing or cannot be read, as are some of a link that is down.

    Blocks.
    """
    with suppress(OSError):
        return path.read_bytes().decode("utf-8", "replace")
    return ""


def read_number(path: Path) -> int | None:
    """Read the number that a file begins with; None when there is none. Blocks."""
    found = _digits(read_text(path))
    return int(found[1]) if found else None


def number_in(text: str) -> int:
    """Read the number that a text begins with, 0 when there is none."""
    found = _digits(text)
    return int(found[1]) if found else 0
