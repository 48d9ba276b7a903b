"""The last part of a stream, and how long the whole was."""

from __future__ import annotations

from collections import deque


class Tail:
    """Keeps the last bytes of what it is fed.

    Attributes:
        total: bytes fed so far.
    """

    __slots__ = ("_chunks", "_kept", "_limit", "total")

    def __init__(self, limit: int) -> None:
        """Keep up to `limit` bytes."""
        self._limit = limit
        self._chunks: deque[bytes] | None = None  # made on the first byte: most jobs are silent
        self._kept = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream."""
        self.total += len(data)
        if self._chunks is None:
            self._chunks = deque()
        self._chunks.append(data)
        self._kept += len(data)
        while self._chunks and self._kept - len(self._chunks[0]) >= self._limit:
            self._kept -= len(self._chunks.popleft())

    @property
    def truncated(self) -> bool:
        """Whether the stream was longer than what is kept."""
        return self.total > self._limit

    def text(self) -> str:
        """What is kept, as text: a character cut at the front is left out, bad bytes replaced."""
        if self._chunks is None:
            return ""
        kept = b"".join(self._chunks)[-self._limit :] if self._limit else b""
        if self.truncated:
            kept = _without_broken_head(kept)
        return kept.decode("utf-8", "replace")


def _without_broken_head(data: bytes) -> bytes:
    """Drop up to three continuation bytes, the rest of a character whose start is gone."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
