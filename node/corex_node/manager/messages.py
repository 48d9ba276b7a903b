"""Messages of a job within the agent: a bounded backlog, and those who follow them.

What a job says is seen here before it is numbered for the wire. Whoever subscribes gets what is
kept of the past and then what comes, without a gap and without repetition: both happen on the event
loop, in one step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from msgspec import Struct


class JobMessage(Struct, frozen=True):
    """One message: its level, its text, when it came (ns since the epoch).

    A `whole` one was addressed by the job; others are parts of its output as they came.
    """

    level: int
    text: str
    epoch: int
    whole: bool = False


class MessageLog:
    """The last messages of one job, bounded in number and in characters.

    Attributes:
        missed: characters of messages that are kept no more.
    """

    __slots__ = ("_kept", "_messages", "_most", "_size", "missed")

    def __init__(self, most: int, size: int) -> None:
        """Keep the last `most` messages, of `size` characters together; the last one always."""
        self._messages: deque[JobMessage] = deque()
        self._most = most
        self._size = size
        self._kept = 0
        self.missed = 0

    def append(self, message: JobMessage) -> None:
        """Add the next message."""
        self._messages.append(message)
        self._kept += len(message.text)
        while len(self._messages) > self._most or (
            self._kept > self._size and len(self._messages) > 1
        ):
            gone = len(self._messages.popleft().text)
            self._kept -= gone
            self.missed += gone

    def messages(self) -> list[JobMessage]:
        """List them, oldest first."""
        return list(self._messages)


class Subscription:
    """One follower of a job's messages; to be iterated over on the manager's event loop.

    Iteration ends with the job. A follower that is too slow loses the oldest of what waits for it;
    it never slows the job.

    Attributes:
        missed: characters that came before the backlog begins, or that were lost for slowness.
    """

    def __init__(self, log: MessageLog | None, most: int, size: int) -> None:
        """Begin with the backlog; see `Job.subscribe`.

        Args:
            log: of the job so far, None when there is none.
            most: messages that may wait to be read.
            size: characters that may wait to be read.
        """
        self.missed = log.missed if log is not None else 0
        self._waiting = deque(log.messages() if log is not None else ())
        self._size = sum(len(message.text) for message in self._waiting)
        self._most_messages = max(most, len(self._waiting))
        self._most_size = max(size, self._size)
        self._wake = asyncio.Event()
        self._closed = False

    def push(self, message: JobMessage) -> None:
        """Add the next message."""
        if self._closed:
            return
        self._waiting.append(message)
        self._size += len(message.text)
        while len(self._waiting) > self._most_messages or (
            self._size > self._most_size and len(self._waiting) > 1
        ):
            lost = len(self._waiting.popleft().text)
            self._size -= lost
            self.missed += lost
        self._wake.set()

    def close(self) -> None:
        """Take no more: iteration ends when what waits is read."""
        self._closed = True
        self._wake.set()

    @property
    def closed(self) -> bool:
        """Whether no more comes."""
        return self._closed

    async def __aiter__(self) -> AsyncIterator[JobMessage]:
        """Give message after message, until the job has ended or the subscription is closed."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                self._size -= len(message.text)
                yield message
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()
