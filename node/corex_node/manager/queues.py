"""Named queues: jobs of one queue run one at a time, in the order in which they came. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Line(Generic[T]):
    holder: T
    waiting: deque[T] = field(default_factory=deque)


class QueueTable(Generic[T]):
    """Who holds each queue and who waits for it. A queue exists while someone holds it."""

    def __init__(self) -> None:
        """Begin with no queue."""
        self._lines: dict[str, _Line[T]] = {}

    def __len__(self) -> int:
        """How many queues are held."""
        return len(self._lines)

    def names(self) -> list[str]:
        """List the queues that are held, by name."""
        return sorted(self._lines)

    def holder(self, name: str) -> T | None:
        """Tell who holds a queue, None when nobody does."""
        line = self._lines.get(name)
        return line.holder if line is not None else None

    def waiters(self, name: str) -> list[T]:
        """List who waits for a queue, in order."""
        line = self._lines.get(name)
        return list(line.waiting) if line is not None else []

    def enter(self, name: str, item: T) -> bool:
        """Stand in line; True when the queue is held at once."""
        line = self._lines.get(name)
        if line is None:
            self._lines[name] = _Line(item)
            return True
        line.waiting.append(item)
        return False

    def leave(self, name: str, item: T) -> T | None:
        """Leave the line; return who holds the queue now because of that, if anyone does."""
        line = self._lines.get(name)
        if line is None:
            return None
        if line.holder is not item:
            if item in line.waiting:
                line.waiting.remove(item)
            return None
        if not line.waiting:
            del self._lines[name]
            return None
        line.holder = line.waiting.popleft()
        return line.holder
