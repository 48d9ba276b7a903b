"""Putting the messages of a job in order.

Messages come by two ways, live and from the log, and so some come twice and some late. They bear
numbers that count from 0 without gaps; the last of a job says that it is. Nothing here waits or
reads: it is told messages and tells which come next and which are missing.
"""

from __future__ import annotations

from corex_shared.models import Message
from corex_shared.states import Flag, Level


class Gap(Message, frozen=True):
    """Stands in the place of messages that cannot be had any more; its text says so to people.

    It has level 7 (warning) and the number of the last missing message, if that is known.

    Attributes:
        count: how many are missing; None when that cannot be known.
        size: bytes that the job's processes wrote in them; None when that cannot be known.
    """

    count: int | None = None
    size: int | None = None


class MessageOrder:
    """The messages of one job on their way to its reader.

    Attributes:
        job: the job ID.
        expected: number of the next message to hand out.
        ended: whether the last message was handed out; nothing follows it.
    """

    def __init__(self, job: str) -> None:
        self.job = job
        self.expected = 0
        self.ended = False
        self._held: dict[int, Message] = {}

    def add(self, message: Message) -> None:
        """Take a message, unless it is of another job or was seen before."""
        if message.job == self.job and message.seq >= self.expected and not self.ended:
            self._held.setdefault(message.seq, message)

    def ready(self) -> list[Message]:
        """Hand out the messages whose turn it is."""
        out: list[Message] = []
        while not self.ended and self.expected in self._held:
            message = self._held.pop(self.expected)
            self.expected += 1
            self.ended = message.is_last
            out.append(message)
        if self.ended:
            self._held.clear()
        return out

    @property
    def gap(self) -> tuple[int, int] | None:
        """First and last number of the messages missing before the ones that are held back."""
        if not self._held or self.expected in self._held:
            return None
        return self.expected, min(self._held) - 1

    def give_up_gap(self) -> None:
        """Go on behind missing messages; one that says how many there are takes their place."""
        gap = self.gap
        if gap is None:
            return
        first, last = gap
        after = self._held[last + 1]
        count = last - first + 1
        are = "message is" if count == 1 else "messages are"
        notice = Gap(
            job=self.job,
            node=after.node,
            seq=last,
            level=Level.WARNING,
            flags=Flag.STREAM,
            message=f"{count} {are} no longer in the log of job {self.job}\n",
            epoch=after.epoch,
            count=count,
        )
        self.expected = last
        self._held[last] = notice

    def end_without_last(self, why: str, *, node: str = "", size: int | None = None) -> Gap:
        """End, though the last message never came; nothing is handed out after it.

        Args:
            why: what is missing, for people.
            node: the job's, if known.
            size: bytes that are missing, if known.

        Returns:
            What to hand out in the place of whatever is missing.
        """
        self.ended = True
        self._held.clear()
        return Gap(
            job=self.job,
            node=node,
            seq=self.expected,
            level=Level.WARNING,
            flags=Flag.STREAM,
            message=f"{why}\n",
            epoch=0,
            size=size,
        )
