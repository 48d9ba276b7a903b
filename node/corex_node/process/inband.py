"""Messages that a program addresses by level within its output. Pure.

At the start of a line, `LEVEL::text` is a message to the end of the line; `LEVEL:::` begins a block
that ends with a line of just `:::`. All else is plain output, passed on in chunks of whole lines.
A line that is not finished is held back until it is, until its owner asks for it (`flush`, after
100 ms, so that prompts and progress bars are seen), or until holding it would cost memory. What may
yet become a header is held back even then. No chunk splits a character.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

_LEVELS = r"(1[01]|2[0-3]|30|[1-9])"
_HEADER = re.compile(rf"^{_LEVELS}::(:?)", re.MULTILINE)
_BLOCK_END = re.compile(r"^:::\r?\n", re.MULTILINE)
_MAY_BECOME_HEADER = re.compile(rf"(?:1|2|3|{_LEVELS}:{{0,2}})?\Z")
_LINE_AT_MOST = 64 * 1024
"""Characters of a plain line that are held back at most."""
_MESSAGE_AT_MOST = 1024 * 1024
"""Characters of one addressed message; longer ones come in parts."""
_LINE_LEVELS = frozenset({1, 2})
"""Levels of output as such, whose messages keep the end of their line."""

_decoder = codecs.getincrementaldecoder("utf-8")


class Piece(NamedTuple):
    """Part of a stream: plain output, or a message addressed to a level.

    A message that is very long comes in parts; all but the last have `more` set.
    """

    level: int
    text: str
    addressed: bool
    more: bool = False


class InBand:
    """Reads one stream of one attempt."""

    __slots__ = (
        "_block",
        "_block_level",
        "_block_size",
        "_decode",
        "_held",
        "_level",
        "_line_level",
        "_mid_line",
    )

    def __init__(self, level: int) -> None:
        """Begin a stream whose plain output has a level."""
        self._level = level
        self._decode = _decoder("replace").decode
        self._held = ""
        self._mid_line = False  # the beginning of the line was passed on already
        self._line_level = 0  # which that was addressed to, 0 for plain output
        self._block: list[str] | None = None
        self._block_level = 0
        self._block_size = 0

    @property
    def holds(self) -> bool:
        """Whether plain output is held back that `flush` would give."""
        if self._line_level:
            return False
        return bool(self._held) and self._block is None and not self._may_be_header()

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; return what is whole now."""
        text = self._held + self._decode(data)
        cut = text.rfind("\n") + 1
        self._held = text[cut:]
        pieces = self._read(text[:cut]) if cut else []
        if len(self._held) > _LINE_AT_MOST:
            pieces += self._give_up_line()
        return pieces

    def flush(self) -> list[Piece]:
        """Return the part of a plain line that is held back; a possible header stays."""
        if not self.holds:
            return []
        held, self._held, self._mid_line = self._held, "", True
        return [Piece(self._level, held, False)]

    def finish(self) -> list[Piece]:
        """Return what is left at the end of the stream, an unfinished block included."""
        text = self._held + self._decode(b"", True)
        self._held = ""
        pieces = self._read(text + "\n") if text or self._line_level else []
        if pieces and not pieces[-1].addressed:  # the line had no end
            last = pieces.pop()
            if last.text != "\n":
                pieces.append(last._replace(text=last.text[:-1]))
        if self._block is not None:
            pieces += self._end_block("")
        return pieces

    def _may_be_header(self) -> bool:
        if self._mid_line:
            return False
        return bool(_MAY_BECOME_HEADER.match(self._held) or _HEADER.match(self._held))

    def _give_up_line(self) -> list[Piece]:
        """Pass on a line that has grown too long to be held."""
        if self._block is not None:
            held, self._held = self._held, ""
            return self._add_to_block(held)
        if not self._mid_line and _HEADER.match(self._held):
            if len(self._held) <= _MESSAGE_AT_MOST:
                return []
            return self._begin_long_line()
        if self._line_level:
            if len(self._held) <= _MESSAGE_AT_MOST:
                return []
            held, self._held = self._held, ""
            return [Piece(self._line_level, held, True, True)]
        held, self._held, self._mid_line = self._held, "", True
        return [Piece(self._level, held, False)]

    def _begin_long_line(self) -> list[Piece]:
        """Pass on the beginning of an addressed line that is too long to be held."""
        header = _HEADER.match(self._held)
        if header is None or header[2]:  # a block begins: its first line is its own
            pieces = self._read(self._held + "\n")
            self._held, self._mid_line = "", True
            return pieces
        text, self._held = self._held[header.end() :], ""
        self._mid_line, self._line_level = True, int(header[1])
        return [Piece(self._line_level, text, True, True)]

    def _read(self, lines: str) -> list[Piece]:
        """Read whole lines."""
        if self._block is None and not self._mid_line and "::" not in lines:
            return [Piece(self._level, lines, False)]
        pieces: list[Piece] = []
        at = 0
        if self._mid_line and self._block is None:
            at = lines.index("\n") + 1
            pieces.append(self._end_line(lines[:at]))
        self._mid_line = False
        while at < len(lines):
            at = (self._read_block if self._block is not None else self._read_plain)(
                lines, at, pieces
            )
        return pieces

    def _end_line(self, text: str) -> Piece:
        """Take the rest of a line whose beginning was passed on."""
        level, self._line_level = self._line_level, 0
        if not level:
            return Piece(self._level, text, False)
        if level not in _LINE_LEVELS:
            text = text.removesuffix("\n").removesuffix("\r")
        return Piece(level, text, True)

    def _read_plain(self, lines: str, at: int, pieces: list[Piece]) -> int:
        header = _HEADER.search(lines, at)
        end = header.start() if header else len(lines)
        if end > at:
            pieces.append(Piece(self._level, lines[at:end], False))
        if header is None:
            return end
        level, begin = int(header[1]), header.end()
        line_end = lines.index("\n", begin)
        if header[2]:
            self._block, self._block_level, self._block_size = [], level, 0
            return line_end + 1 if not lines[begin:line_end].strip("\r") else begin
        stop = line_end + 1 if level in _LINE_LEVELS else line_end
        text = lines[begin:stop]
        pieces.append(
            Piece(level, text if level in _LINE_LEVELS else text.removesuffix("\r"), True)
        )
        return line_end + 1

    def _read_block(self, lines: str, at: int, pieces: list[Piece]) -> int:
        end = _BLOCK_END.search(lines, at)
        if end is None:
            pieces += self._add_to_block(lines[at:])
            return len(lines)
        pieces += self._end_block(lines[at : end.start()])
        return end.end()

    def _add_to_block(self, text: str) -> list[Piece]:
        block = self._block if self._block is not None else []
        block.append(text)
        self._block_size += len(text)
        if self._block_size <= _MESSAGE_AT_MOST:
            return []
        whole = "".join(block)
        self._block, self._block_size = [], 0
        return [Piece(self._block_level, whole, True, True)]

    def _end_block(self, text: str) -> list[Piece]:
        whole = "".join([*(self._block or []), text])
        self._block = None
        if self._block_level not in _LINE_LEVELS:
            whole = whole.removesuffix("\n")
        return [Piece(self._block_level, whole, True)]
