"""`node.queues`."""

from __future__ import annotations

from corex.ask import ASK_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.queues import QueueEntries, list_queues, release_queue


class Queues(Namespace):
    """The named queues of a node."""

    __slots__ = ()

    def list(self, *, timeout: float = ASK_TIMEOUT) -> QueueEntries:
        """List the queues that are held: by which job, and who waits."""
        return self._ask(list_queues(), timeout)

    def release(self, name: str, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Take a queue from the job that holds it; False when nobody does.

        The job goes on, beside the one that gets the queue.
        """
        return self._ask(release_queue(name), timeout)


class AsyncQueues(AsyncNamespace):
    """`Queues` with coroutines."""

    __slots__ = ()

    async def list(self, *, timeout: float = ASK_TIMEOUT) -> QueueEntries:
        """List the queues that are held: by which job, and who waits."""
        return await self._ask(list_queues(), timeout)

    async def release(self, name: str, *, timeout: float = ASK_TIMEOUT) -> bool:
        """Take a queue from the job that holds it; False when nobody does.

        The job goes on, beside the one that gets the queue.
        """
        return await self._ask(release_queue(name), timeout)
