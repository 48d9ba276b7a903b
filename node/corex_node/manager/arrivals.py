"""The order in which jobs came, kept until each may go on. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Arrival(Generic[T]):
    item: T
    cleared: bool = False


class Arrivals(Generic[T]):
    """Lets items through in the order in which they came, whichever is cleared first.

    Batches of commands are admitted side by side: a later one may be done first, and must not get
    ahead in a line that is kept elsewhere.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._lines: dict[str, deque[_Arrival[T]]] = {}

    def came(self, line: str, item: T) -> None:
        """Take note of one that is not cleared yet."""
        self._lines.setdefault(line, deque()).append(_Arrival(item))

    def cleared(self, line: str, item: T) -> list[T]:
        """Clear one; return who may go on because of that, in order."""
        for arrival in self._lines.get(line, ()):
            if arrival.item is item:
                arrival.cleared = True
                break
        return self._pass(line)

    def gone(self, line: str, item: T) -> list[T]:
        """Forget one, if it has not gone on; return who may go on because of that, in order."""
        arrivals = self._lines.get(line, ())
        if not any(arrival.item is item for arrival in arrivals):
            return []
        self._lines[line] = deque(arrival for arrival in arrivals if arrival.item is not item)
        return self._pass(line)

    def _pass(self, line: str) -> list[T]:
        arrivals = self._lines.get(line)
        passed: list[T] = []
        while arrivals and arrivals[0].cleared:
            passed.append(arrivals.popleft().item)
        if not arrivals:
            self._lines.pop(line, None)
        return passed
