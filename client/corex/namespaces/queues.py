"""`node.queues`."""

from __future__ import annotations

from typing import Literal

from corex.ask import ASK_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.queues import QueueEntries, list_queues, release_queue


class Queues(Namespace):
    """The named queues of a node, and those of the fleet."""

    __slots__ = ()

    def list(self, *, timeout: float = ASK_TIMEOUT) -> QueueEntries:
        """List the queues that are held: by which job, and who waits.

        Of those of the fleet, the ones in which a job of this node holds or waits.
        """
        return self._ask(list_queues(), timeout)

    def release(
        self,
        name: str,
        *,
        scope: Literal["node", "fleet"] = "node",
        timeout: float = ASK_TIMEOUT,
    ) -> bool:
        """Take a queue from the job that holds it; False when nobody does.

        The job goes on, beside the one that gets the queue. With `scope="fleet"` it is the queue
        of all nodes, whichever of them has the job.
        """
        return self._ask(release_queue(name, scope), timeout)


class AsyncQueues(AsyncNamespace):
    """`Queues` with coroutines."""

    __slots__ = ()

    async def list(self, *, timeout: float = ASK_TIMEOUT) -> QueueEntries:
        """List the queues that are held: by which job, and who waits.

        Of those of the fleet, the ones in which a job of this node holds or waits.
        """
        return await self._ask(list_queues(), timeout)

    async def release(
        self,
        name: str,
        *,
        scope: Literal["node", "fleet"] = "node",
        timeout: float = ASK_TIMEOUT,
    ) -> bool:
        """Take a queue from the job that holds it; False when nobody does.

        The job goes on, beside the one that gets the queue. With `scope="fleet"` it is the queue
        of all nodes, whichever of them has the job.
        """
        return await self._ask(release_queue(name, scope), timeout)
