"""One subscription to the log of a node's jobs: what waits to be written to its list. Pure.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import Struct

from corex_node.feed_store import FeedBatch, Lengths
from corex_node.ticket import LogWindow
from corex_shared import codec
from corex_shared.codec import Encoding
from corex_shared.errors import DecodeError
from corex_shared.identifiers import new_id
from corex_shared.models import Message

_OVERHEAD = 200
"""What a record weighs beside its text, in bytes, about."""
_UNKNOWN = 2**31
"""Length of a list that was never looked at, so that any is shorter: it lives from then on."""


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """Bounds of the log of a node; sizes are in characters, but for `listed_size` (bytes).

    Attributes:
        feeds: subscriptions at once.
        recent: records that are kept for those who subscribe later.
        recent_size: of these.
        waiting: records that wait to be written for one subscription.
        waiting_size: of these.
        listed: records that one list holds.
        listed_size: of these.
        patience: seconds after which a subscription ends whose list nobody reads.
        look: seconds between two looks at a list that nobody reads.
    """

    feeds: int = 64
    recent: int = 1000
    recent_size: int = 256 * 1024
    waiting: int = 10_000
    waiting_size: int = 1024 * 1024
    listed: int = 10_000
    listed_size: int = 4 * 1024 * 1024
    patience: float = 600.0
    look: float = 30.0

    @property
    def ttl_ms(self) -> int:
        """How long a list lives that nobody reads: its end is the node's to see first."""
        return int((self.patience + 4 * self.look) * 1000)


class Record(Struct, frozen=True, gc=False):
    """One message of a job; `epoch` is nanoseconds."""

    job: str
    level: int
    text: str
    epoch: int

    @property
    def weight(self) -> int:
        """About how much it holds, in characters."""
        return len(self.text) + _OVERHEAD


class Records:
    """The newest records, bounded in number and in characters; the last one is kept always."""

    __slots__ = ("_kept", "_most", "_size", "_weight")

    def __init__(self, most: int, size: int) -> None:
        """Begin empty."""
        self._kept: deque[Record] = deque()
        self._most = most
        self._size = size
        self._weight = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Record]:
        """Give them, oldest first."""
        return iter(self._kept)

    def append(self, record: Record) -> int:
        """Add the next; return how many of the oldest had to go."""
        self._kept.append(record)
        self._weight += record.weight
        dropped = 0
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._weight > self._size):
            self._weight -= self._kept.popleft().weight
            dropped += 1
        return dropped

    def take(self, most: int, size: int) -> list[Record]:
        """Take the oldest, of `size` characters or so, but one at least if there is any."""
        taken: list[Record] = []
        while self._kept and len(taken) < most and size > 0:
            record = self._kept.popleft()
            self._weight -= record.weight
            size -= record.weight
            taken.append(record)
        return taken


class Feed:
    """One subscription.

    Attributes:
        queue: names its list.
        levels: that it wants.
        dropped: records that were never written, since Redis was away or slower than the jobs.
        seen: when its list was looked at last.
        heard_of: when there was the last sign of somebody who reads.
    """

    __slots__ = (
        "_due",
        "_known",
        "_limits",
        "_seq",
        "_subscription",
        "_unread",
        "_waiting",
        "_window",
        "_written",
        "dropped",
        "heard_of",
        "levels",
        "queue",
        "seen",
    )

    def __init__(self, queue: str, levels: frozenset[int], limits: FeedLimits, now: float) -> None:
        """Begin with no record."""
        self.queue = queue
        self.dropped = 0
        self._limits = limits
        self._subscription = new_id()
        self._seq = 0  # of the next record
        self._waiting = Records(limits.waiting, limits.waiting_size)
        self._window = LogWindow(limits.listed_size)
        self._written = 0  # records
        self._unread = 0.0  # seconds
        self.renew(levels, now)

    def renew(self, levels: frozenset[int], now: float) -> None:
        """Want these levels from now on; somebody is there who says so."""
        self.levels = levels
        self.heard_of = now
        self._known = _UNKNOWN  # length of the list
        self.seen = now
        self._due = True

    def add(self, record: Record) -> None:
        """Take the next record; its number is its own even if it is dropped."""
        self._seq += 1
        self.dropped += self._waiting.append(record)

    @property
    def waiting(self) -> int:
        """Records that wait to be written."""
        return len(self._waiting)

    def is_due(self, now: float) -> bool:
        """Whether there is something to write, or the list is to be looked at."""
        if self._waiting or self._due:
            return True
        return self._known > 0 and now - self.seen >= self._limits.look

    def batch(self, node: str, most: int, size: int) -> FeedBatch:
        """Take the next records for the list, which may be none."""
        self._due = False
        first = self._seq - len(self._waiting)
        records = [
            _encoded(node, first + at, record)
            for at, record in enumerate(self._waiting.take(most, size))
        ]
        for record in records:
            self._window.append(len(record))
        self._written += len(records)
        return FeedBatch(
            self.queue,
            self._subscription,
            first,
            records,
            self._kept(),
            self._known,
            self._limits.ttl_ms,
        )

    def _kept(self) -> int:
        """How many records the list may keep; before it is full also those of an earlier agent."""
        first = self._window.first
        return min(self._limits.listed, self._written - first) if first else self._limits.listed

    def observe(self, lengths: Lengths, now: float) -> bool:
        """Learn how long the list was and is; False when nobody has read it for too long.

        Time in which it could not be seen counts for two looks at most: its reader may have been
        without Redis as well.
        """
        if lengths.before < self._known:
            self._unread = 0.0
            self.heard_of = now
        elif lengths.before:
            self._unread += min(now - self.seen, 2 * self._limits.look)
        if not self._due:  # else it was renewed meanwhile, and is to be looked at once more
            self._known = lengths.after
        self.seen = now
        return self._unread < self._limits.patience


def _encoded(node: str, seq: int, record: Record) -> bytes:
    try:
        return _message(node, seq, record, record.text)
    except DecodeError:  # half of a surrogate pair, which has no form on the wire
        text = record.text.encode("utf-8", "backslashreplace").decode()
        return _message(node, seq, record, text)


def _message(node: str, seq: int, record: Record, text: str) -> bytes:
    message = Message(record.job, node, seq, record.level, 0, text, record.epoch)
    return codec.encode(message, Encoding.JSON)
