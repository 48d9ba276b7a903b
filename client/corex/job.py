"""A job as callers hold it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from corex.core import STREAM_TIMEOUT, WAIT_TIMEOUT
from corex.follow import follow
from corex.kill import kill
from corex.results import peek, wait
from corex.status import JobStatus, read_status
from corex.ticket import Ticket
from corex_shared.models import JobResult, Message

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.sync import Client


class _AnyJob:
    """What `Job` and `AsyncJob` have in common."""

    __slots__ = ("_fresh", "_result", "ticket")

    def __init__(self, ticket: Ticket, *, fresh: bool) -> None:
        self.ticket = ticket
        self._fresh = fresh
        self._result: JobResult | None = None

    @property
    def id(self) -> str:
        """The job ID."""
        return self.ticket.id

    @property
    def node(self) -> str | None:
        """The node it was pushed to; None for one pushed to a group, or found by its ID only."""
        return self.ticket.node

    @property
    def known_result(self) -> JobResult | None:
        """The result if this object has it already."""
        return self._result

    def note_result(self, result: JobResult) -> JobResult:
        """Remember the result, which never changes."""
        self._result = result
        return result

    def take_fresh(self) -> bool:
        """Tell, once, whether the job was just submitted, so that it cannot have a result yet."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} on {self.ticket.target or '?'}>"


class Job(_AnyJob):
    """One job of a `Client`.

    Get one from `Node.system`, `Node.submit` and so on, or by its ID from `Client.job`.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, ticket: Ticket, *, fresh: bool = False) -> None:
        super().__init__(ticket, fresh=fresh)
        self._client = client

    def wait(self, timeout: float = WAIT_TIMEOUT) -> JobResult:
        """Wait for the result; a second call returns the same one at once.

        Redis may go away meanwhile: the wait goes on within its time.

        Args:
            timeout: seconds; 0 looks once.

        Raises:
            WaitTimeout: there is none within the time.
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        if self._result is not None:
            return self._result
        plan = wait(self._client.core, self.ticket, timeout, fresh=self.take_fresh())
        return self.note_result(self._client.perform(plan))

    def result(self) -> JobResult | None:
        """Look for the result without waiting; None if there is none (yet, or any more).

        Raises:
            StoreError: Redis cannot be reached.
        """
        if self._result is None and self.ticket.key_counts:
            self._result = self._client.perform(peek(self._client.core, self.id))
        return self._result

    def stream(self, timeout: float = STREAM_TIMEOUT) -> Iterator[Message]:
        """Follow the job's messages from its first one, in order, until it ends.

        Where messages cannot be had any more there is a `corex.Gap` in their place, a message
        of level 7 (warning) that says how many they are. A job that was submitted without
        `stream=True` has no messages: then this waits for its end, and gives one `Gap` with the
        size of its output, if it wrote any.

        Args:
            timeout: seconds for the whole of it.

        Raises:
            WaitTimeout: the job did not end in time.
        """
        return self._client.iterate(follow(self._client.core, [self.id], timeout))

    def state(self) -> JobStatus:
        """Look where the job is.

        Raises:
            StoreError: Redis cannot be reached.
        """
        return self._client.perform(read_status(self._client.core, self.ticket))

    def kill(self, signal: int = 15, timeout: float = 10.0) -> bool:
        """End the job; its result will say `KILLED`.

        Args:
            signal: number of the signal that its processes get.
            timeout: seconds to wait for its node's answer.

        Returns:
            True when its node has sent the signal, or the command was withdrawn before any node
            took it; False when the job has ended already or nobody knows it.

        Raises:
            WaitTimeout: its node did not answer in time.
        """
        return self._client.perform(kill(self._client.core, self.ticket, signal, timeout))


class AsyncJob(_AnyJob):
    """One job of an `AsyncClient`: `Job` with coroutines."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient, ticket: Ticket, *, fresh: bool = False) -> None:
        super().__init__(ticket, fresh=fresh)
        self._client = client

    async def wait(self, timeout: float = WAIT_TIMEOUT) -> JobResult:
        """Wait for the result; a second call returns the same one at once.

        All coroutines that wait for jobs of one client share one connection.

        Args:
            timeout: seconds; 0 looks once.

        Raises:
            WaitTimeout: there is none within the time.
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        if self._result is not None:
            return self._result
        plan = wait(self._client.core, self.ticket, timeout, fresh=self.take_fresh())
        return self.note_result(await self._client.perform(plan))

    async def result(self) -> JobResult | None:
        """Look for the result without waiting; None if there is none (yet, or any more).

        Raises:
            StoreError: Redis cannot be reached.
        """
        if self._result is None and self.ticket.key_counts:
            self._result = await self._client.perform(peek(self._client.core, self.id))
        return self._result

    async def stream(self, timeout: float = STREAM_TIMEOUT) -> AsyncIterator[Message]:
        """Follow the job's messages from its first one, in order, until it ends.

        See `Job.stream`.

        Args:
            timeout: seconds for the whole of it.

        Raises:
            WaitTimeout: the job did not end in time.
        """
        plan = follow(self._client.core, [self.id], timeout)
        async with contextlib.aclosing(self._client.iterate(plan)) as messages:
            async for message in messages:
                yield message

    async def state(self) -> JobStatus:
        """Look where the job is.

        Raises:
            StoreError: Redis cannot be reached.
        """
        return await self._client.perform(read_status(self._client.core, self.ticket))

    async def kill(self, signal: int = 15, timeout: float = 10.0) -> bool:
        """End the job; its result will say `KILLED`. See `Job.kill`.

        Raises:
            WaitTimeout: its node did not answer in time.
        """
        return await self._client.perform(kill(self._client.core, self.ticket, signal, timeout))
