"""Putting the messages of a job in order.

Messages come by two ways, live and from the log, and so some come twice and some late. They bear
numbers that count from 0 without gaps; the last of a job says that it is. Nothing here waits or
reads: it is told messages and tells which come next and which are missing.
"""

from __future__ import annotations

from corex_shared.models import Message
from corex_shared.states import Flag, Level


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
        notice = Message(
            job=self.job,
            node=after.node,
            seq=last,
            level=Level.WARNING,
            flags=Flag.STREAM,
            message=f"{count} {are} no longer in the log of job {self.job}\n",
            epoch=after.epoch,
        )
        self.expected = last
        self._held[last] = notice
