"""How a file is opened: one of r, w, a, x, with a + for reading and writing."""

from __future__ import annotations

import os

from msgspec import Struct

from corex_shared.errors import BadRequestError

_MADE = {
    "r": 0,
    "w": os.O_CREAT | os.O_TRUNC,
    "a": os.O_CREAT | os.O_APPEND,
    "x": os.O_CREAT | os.O_EXCL,
}


class OpenMode(Struct, frozen=True):
    """What may be done with an open file.

    Attributes:
        flags: for open(2).
        reads: whether it can be read.
        writes: whether it can be written to.
        appends: whether everything is written to its end.
    """

    flags: int
    reads: bool
    writes: bool
    appends: bool


def parse_open_mode(text: str) -> OpenMode:
    """Read a mode: exactly one of r (there must be one), w (emptied), a, x (there must be none).

    Raises:
        BadRequestError: it is none.
    """
    made = _MADE.get(text[:1])
    if made is None or text[1:] not in ("", "+"):
        raise BadRequestError(f"mode: {text[:40]!r}: one of r, w, a, x expected, with or without +")
    reads, writes = text in ("r", f"{text[0]}+"), text != "r"
    access = os.O_RDWR if reads and writes else os.O_RDONLY if reads else os.O_WRONLY
    return OpenMode(made | access, reads, writes, text[0] == "a")
