"""What troubleshooting.md quotes is what the project says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "guide" / "troubleshooting.md"
_ROW = re.compile(r"^\| (?P<symptom>[^|]*`[^|]*) \|", re.MULTILINE)
_JOINED = re.compile(r'"\s*\n\s*f?"')
_FOREIGN = "Error 111 connecting to "
"""What redis-py says of a refused connection; operating-redis.md shows it."""


def _source() -> str:
    """All of our code, texts in several pieces joined."""
    files = sorted(
        path for top in ("client", "node", "shared") for path in (_ROOT / top).rglob("*.py")
    )
    return _JOINED.sub("", "\n".join(path.read_text() for path in files))


def _symptoms() -> list[str]:
    """The messages, events and states in the first column of all tables."""
    rows = [row["symptom"] for row in _ROW.finditer(_PAGE.read_text())]
    return [quoted for row in rows for quoted in re.findall(r"`([^`]+)`", row)]


@pytest.fixture(scope="module")
def source() -> str:
    """All of our code."""
    return _source()


@pytest.mark.parametrize("symptom", _symptoms())
def test_a_symptom_is_something_that_corex_says(source: str, symptom: str) -> None:
    pieces = [piece for piece in symptom.split("…") if piece.strip()]
    assert pieces
    for piece in pieces:
        assert piece in source or piece == _FOREIGN, f"{piece!r} is said nowhere"


def test_the_tables_are_read() -> None:
    assert {"lease.lost", "no such node: …", "LOST"} <= set(_symptoms())
