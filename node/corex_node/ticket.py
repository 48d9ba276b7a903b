"""What the delivery side knows of a command that the node has claimed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from msgspec import Struct

from corex_shared.codec import Encoding


class Source(Enum):
    """The two lists of a node; the value is the prefix of a claimed payload's field."""

    COMMANDS = "@"
    CONTROL = "!"


UNFILED = tuple(source.value for source in Source)
"""With what the field of a command begins that is not filed under its job ID; no ID does."""


@dataclass(slots=True)
class LogWindow:
    """How much of a job's log stream is kept: it is bounded in bytes, which Redis cannot count.

    Attributes:
        limit: bytes.
        first: lowest seq that is kept.
    """

    limit: int
    first: int = 0
    _sizes: deque[int] | None = None
    _total: int = 0

    def append(self, size: int) -> None:
        """Take note of the next message's size."""
        if self._sizes is None:
            self._sizes = deque()
        self._sizes.append(size)
        self._total += size
        while self._total > self.limit and len(self._sizes) > 1:
            self._total -= self._sizes.popleft()
            self.first += 1


class Ticket(Struct):
    """A claimed payload and how its answer goes back.

    Attributes:
        source: list that it came from.
        number: of its claim, rising with every claim of the node.
        field: where it is in the claimed hash: `<prefix><number>`, later the job ID.
        encoding: of the payload, and so of everything that answers it.
        reply_to: client whose inbox hears of the result.
        streams: whether the job's channel and log are written.
        levels: levels that go to the node's log channel.
        seq: of the next message.
        inbound: what came, of a job that is unaccepted.
        unaccepted: name of the claim, when the job is accepted only as its result is written.
        group: whose list it was; empty for the node's own.
        disowned: the job is no longer this node's: no result of it is written.
    """

    source: Source
    number: int
    field: str
    encoding: Encoding = Encoding.JSON
    reply_to: str | None = None
    streams: bool = False
    levels: frozenset[int] = frozenset()
    seq: int = 0
    unaccepted: str = ""
    inbound: object = None
    window: LogWindow | None = None
    group: str = ""
    disowned: bool = False

    def take_seq(self) -> int:
        """Number the next message."""
        seq = self.seq
        self.seq = seq + 1
        return seq

    def claim(self, node: str) -> str:
        """Name of this claim, the same for every attempt to accept it (lua/accept.lua)."""
        return f"{node}/{self.number}"


def claimed_field(source: Source, number: int | str, owner: str = "") -> str:
    """Field of the claimed hash where lua/claim.lua puts a payload.

    Args:
        source: kind of the list.
        number: of the claim.
        owner: in the hash of a group `<node>/`.
    """
    return f"{source.value}{owner}{number}"
