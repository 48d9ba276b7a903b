"""The table of all keys, read from the text of `corex_shared.keys`: what each is, and its life."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corex_shared import keys

_ROW = re.compile(r"^`(?P<name>[^`]+)`\s\s+(?P<type>\S.*?)\s\s+(?P<lives>\S.*?)\s\s+")
_TYPES = {"int": "string"}


@dataclass(frozen=True, slots=True)
class Row:
    """One key of the table.

    Attributes:
        name: as the table has it.
        pattern: of keys behind the namespace.
        type: as Redis calls it.
        expires: whether a key of it has a TTL once the jobs that it is about have ended.
    """

    name: str
    pattern: re.Pattern[str]
    type: str
    expires: bool


def rows() -> list[Row]:
    """Read the table; channels are no keys."""
    text = keys.__doc__ or ""
    found = [_row(match) for line in text.splitlines() if (match := _ROW.match(line))]
    assert len(found) > 15, "the table of keys is not where it was"
    return [row for row in found if row.type != "channel"]


def _row(match: re.Match[str]) -> Row:
    name, lives = match["name"], match["lives"]
    pattern = re.sub(r"<[a-z]+>", "[^{}]+", re.sub(r"[{}.]", r"\\\g<0>", name))
    kind = match["type"].split(",")[0].split()[0]
    expires = any(word in lives for word in ("TTL", "retention", " after"))
    return Row(name, re.compile(pattern), _TYPES.get(kind, kind), expires)
