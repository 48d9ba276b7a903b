"""What was rejected lately: a server that forgets its last moments is told of it again."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable

from corex_node.ledger import WINDOW
from corex_node.records import Rejection


class Rejections:
    """The newest rejections of some seconds.

    Tasks: have them put into the list again; find the one of a payload that comes again because the
    server has forgotten that it was taken, so that it is in the list once.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            most: how many are kept at most: as many as the list has.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._kept: deque[tuple[float, bytes, Rejection]] = deque(maxlen=most)

    def add(self, payload: bytes, rejection: Rejection) -> None:
        """Remember one that was written."""
        self._prune()
        self._kept.append((self._clock(), _digest(payload), rejection))

    def lately(self) -> list[Rejection]:
        """All that are kept, oldest first."""
        self._prune()
        return [rejection for _, _, rejection in self._kept]

    def of(self, payload: bytes) -> Rejection | None:
        """Find that of a payload."""
        self._prune()
        wanted = _digest(payload)
        for _, known, rejection in self._kept:
            if known == wanted:
                return rejection
        return None

    def _prune(self) -> None:
        oldest = self._clock() - WINDOW
        while self._kept and self._kept[0][0] < oldest:
            self._kept.popleft()


def _digest(payload: bytes) -> bytes:
    """Payloads may be large, and many."""
    return hashlib.blake2b(payload, digest_size=16).digest()
