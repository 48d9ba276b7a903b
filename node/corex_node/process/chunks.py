"""Bytes of a stream → text in whole lines.

Output is passed on in chunks of whole lines. A line that is not finished is held back until it
is, until its owner asks for it (after 100 ms, so that prompts and progress bars are seen), or
until it has grown so long that holding it would cost memory. No chunk splits a character.
"""

from __future__ import annotations

import codecs

_HELD_AT_MOST = 64 * 1024

_decoder = codecs.getincrementaldecoder("utf-8")


class LineChunks:
    """Cuts one stream into chunks of whole lines."""

    __slots__ = ("_decode", "_held", "_size")

    def __init__(self) -> None:
        """Begin a stream."""
        self._decode = _decoder("replace").decode
        self._held: list[str] = []
        self._size = 0

    @property
    def holds(self) -> bool:
        """Whether part of a line is held back."""
        return bool(self._held)

    def feed(self, data: bytes) -> str:
        """Take the next bytes; return the lines that are whole now, or ''."""
        text = self._decode(data)
        cut = text.rfind("\n") + 1
        if not cut:
            self._hold(text)
            return self.flush() if self._size > _HELD_AT_MOST else ""
        lines = text[:cut]
        if self._held:
            lines = "".join(self._held) + lines
            self._held.clear()
            self._size = 0
        self._hold(text[cut:])
        return lines

    def flush(self) -> str:
        """Return what is held back, or ''; bytes of an unfinished character stay."""
        text = "".join(self._held)
        self._held.clear()
        self._size = 0
        return text

    def finish(self) -> str:
        """Return what is left at the end of the stream."""
        return self.flush() + self._decode(b"", True)

    def _hold(self, text: str) -> None:
        if text:
            self._held.append(text)
            self._size += len(text)
