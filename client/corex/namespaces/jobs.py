"""`node.jobs`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator

from corex.ask import ASK_TIMEOUT
from corex.core import STREAM_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.jobs import (
    JobEntries,
    kill_all_jobs,
    kill_job,
    list_jobs,
    unschedule_job,
)
from corex.subscription import Subscription
from corex_shared.models import Message


class Jobs(Namespace):
    """The jobs that a node has not finished. None of these waits behind other commands.

    All raise `JobFailed` when the node refuses, `WaitTimeout` when it does not answer in time,
    `StoreError` when Redis cannot be reached, `DecodeError` when the answer makes no sense.
    """

    __slots__ = ()

    def list(self, id: str | None = None, *, timeout: float = ASK_TIMEOUT) -> JobEntries:
        """List all jobs, those that wait included, or one.

        Raises:
            JobFailed: there is no job of that ID; its code is 404.
        """
        return self._ask(list_jobs(id), timeout)

    def kill(self, id: str, signal: int = 15, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Send a signal to a job, by which it ends; False when the node has no such job."""
        return self._ask(kill_job(id, signal), timeout)

    def unschedule(self, id: str, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Let a job end without a further run; False when the node has no such job."""
        return self._ask(unschedule_job(id), timeout)

    def killall(self, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Kill all jobs of the node, whoever submitted them."""
        return self._ask(kill_all_jobs(), timeout)

    def subscribe(
        self, id: str, *, timeout: float = STREAM_TIMEOUT
    ) -> Generator[Message, None, None]:
        """Follow a job that the node has, also one that was submitted without `stream=True`.

        Gives the part of the past that the node has kept, then what comes, until the job ends.
        Nothing is asked before the first message is. Leaving the loop, or `close`, ends it.

        Args:
            id: the job.
            timeout: seconds for the whole of it.

        Raises:
            JobFailed: the node has no such job; its code is 404.
            WaitTimeout: the job did not end in time.
        """
        subscription = Subscription(self._client.core, self._node, id, timeout)
        return self._follow(subscription)

    def _follow(self, subscription: Subscription) -> Generator[Message, None, None]:
        try:
            with contextlib.closing(self._client.iterate(subscription.run())) as messages:
                for message in messages:
                    if not message.is_last:
                        yield message
        finally:
            self._tidy(subscription.tidy())


class AsyncJobs(AsyncNamespace):
    """`Jobs` with coroutines."""

    __slots__ = ()

    async def list(self, id: str | None = None, *, timeout: float = ASK_TIMEOUT) -> JobEntries:
        """List all jobs, those that wait included, or one.

        Raises:
            JobFailed: there is no job of that ID; its code is 404.
        """
        return await self._ask(list_jobs(id), timeout)

    async def kill(self, id: str, signal: int = 15, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Send a signal to a job, by which it ends; False when the node has no such job."""
        return await self._ask(kill_job(id, signal), timeout)

    async def unschedule(self, id: str, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Let a job end without a further run; False when the node has no such job."""
        return await self._ask(unschedule_job(id), timeout)

    async def killall(self, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Kill all jobs of the node, whoever submitted them."""
        return await self._ask(kill_all_jobs(), timeout)

    async def subscribe(
        self, id: str, *, timeout: float = STREAM_TIMEOUT
    ) -> AsyncGenerator[Message, None]:
        """Follow a job that the node has. See `Jobs.subscribe`.

        `aclose` ends it (see `contextlib.aclosing`).

        Raises:
            JobFailed: the node has no such job; its code is 404.
            WaitTimeout: the job did not end in time.
        """
        subscription = Subscription(self._client.core, self._node, id, timeout)
        try:
            messages = self._client.iterate(subscription.run())
            async with contextlib.aclosing(messages):
                async for message in messages:
                    if not message.is_last:
                        yield message
        finally:
            await self._tidy(subscription.tidy())
