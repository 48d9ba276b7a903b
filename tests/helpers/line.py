"""Nodes of a fleet in one process, as far as they stand in shared queues; their jobs do nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence

from corex_node.fleet_queues import NodeFleetQueues
from corex_node.manager.jobs import Demand, Job
from corex_node.manager.registry import Entry, Kind
from corex_node.queue_news import QueueNews
from corex_node.queue_store import Answer, QueueStore, Request
from corex_shared.connection import Endpoint, execute_async
from corex_shared.endings import end
from corex_shared.errors import StoreUnavailableError
from corex_shared.keys import Keys
from corex_shared.models import Command
from tests.helpers.eventually import eventually_async

_ENTRY = Entry("c", Kind.INLINE, dict, dict)
_SILENT = Demand(False, frozenset())


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Return when a condition that must be awaited is true.

    Raises:
        TimeoutError: it is not by then.
    """
    async with asyncio.timeout(seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.002)


class LossyStore(QueueStore):
    """Loses as many questions and answers as it is told to.

    Attributes:
        losses: part of each, from 0 to 1.
        away: whether Redis is.
        lose_answers: so many are lost, and Redis is away then.
    """

    losses: float = 0.0
    away: bool = False
    lose_answers: int = 0
    chance = random.Random(0)

    async def tell(self, requests: Sequence[Request]) -> list[Answer]:
        """Do it, or not, and answer, or not."""
        self._lose("the question was lost")
        answers = await super().tell(requests)
        self._lose("the answer was lost")
        if self.lose_answers:
            self.lose_answers -= 1
            self.away = True
            raise StoreUnavailableError("the answer was lost")
        return answers

    def _lose(self, what: str) -> None:
        if self.away or self.chance.random() < self.losses:
            raise StoreUnavailableError(what)


class Hall:
    """The fleet: one Redis, and what is known of all its jobs.

    Attributes:
        starts: each grant, as `(job, token)`, in order.
        running: jobs that hold their queue, as far as their nodes know.
        most: so many ran at once.
    """

    def __init__(self, url: str, keys: Keys, lease: float) -> None:
        """Have nodes speak to a server; `lease` in seconds."""
        self.endpoint = Endpoint(url)
        self.keys = keys
        self.lease = lease
        self.starts: list[tuple[str, int]] = []
        self.running: set[str] = set()
        self.most = 0
        self.numbers = itertools.count(1)
        self.client = self.endpoint.async_command()

    async def waiters(self, queue: str = "q") -> list[str]:
        """Who waits, as `<node>/<job>`."""
        [found] = await execute_async(
            self.client, [("LRANGE", self.keys.queue_waiters(queue), 0, -1)]
        )
        return [entry.decode() for entry in found]

    async def owner(self, queue: str = "q") -> str:
        """Who holds the queue, as `<node>/<job>`; empty when nobody does."""
        call = ("HMGET", self.keys.queue_owner(queue), "node", "job")
        [[node, job]] = await execute_async(self.client, [call])
        return f"{node.decode()}/{job.decode()}" if node else ""

    async def entered(self, name: str, queue: str = "q") -> None:
        """Return when `<node>/<job>` stands in line or holds the queue, or has held it."""

        async def has_entered() -> bool:
            job_id = name.partition("/")[2]
            has_held = any(job == job_id for job, _ in self.starts)
            return has_held or name in await self.waiters(queue) or name == await self.owner(queue)

        await until(has_entered)

    async def granted(self, job: Job) -> int:
        """Return the token of a job when it has its queue."""
        await eventually_async(lambda: any(name == job.id for name, _ in self.starts))
        return next(token for name, token in reversed(self.starts) if name == job.id)


class Node:
    """One incarnation of a node: its places, and what it was told.

    Attributes:
        tokens: jobs that hold their queue → by which token.
        lost: jobs that lost it.
        mute: whether the heartbeat is held up.
    """

    def __init__(self, hall: Hall, name: str) -> None:
        """Begin; to be made within a running event loop."""
        self.hall = hall
        self.name = name
        self.tokens: dict[str, int] = {}
        self.lost: list[str] = []
        self.mute = False
        incarnation = f"i{next(hall.numbers)}"
        self.store = LossyStore(hall.endpoint, hall.keys, name, incarnation, hall.lease)

        def news(heard: Callable[[str], object]) -> QueueNews:
            return QueueNews(hall.endpoint, hall.keys, name, heard)

        self.queues = NodeFleetQueues(self.store, news, name, hall.lease)
        self.queues.holders = self
        self.queues.calls()  # the node has its lease
        self._tasks = [
            asyncio.create_task(self.queues.run()),
            asyncio.create_task(self._renew()),
        ]

    def enter(self, job_id: str, queue: str = "q") -> Job:
        """Have a job stand in line."""
        command = Command("c", id=job_id, queue=queue, queue_scope="fleet")
        job = Job(command, _ENTRY, _SILENT, None)
        self.queues.enter(job)
        return job

    def leave(self, job: Job) -> None:
        """Have it end, whether it holds the queue or waits."""
        if self.tokens.pop(job.id, None) is not None:
            self.hall.running.discard(job.id)
        self.queues.leave(job)

    def granted(self, job: Job, token: int) -> None:
        """Take note that a job runs."""
        self.tokens[job.id] = token
        self.hall.starts.append((job.id, token))
        self.hall.running.add(job.id)
        self.hall.most = max(self.hall.most, len(self.hall.running))

    def ousted(self, job: Job, why: str) -> None:
        """Take note that a job has lost its queue, and stop it."""
        assert why.startswith(f"queue {job.fleet_queue}: ")
        del self.tokens[job.id]
        self.hall.running.discard(job.id)
        self.lost.append(job.id)

    async def beat(self) -> None:
        """Renew once, as the heartbeat does."""
        calls = self.queues.calls()
        if calls:
            self.queues.heard(await execute_async(self.hall.client, calls, keep_refusals=True))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.hall.lease / 5)
            if not self.mute and not self.store.away:
                await self.beat()

    async def die(self) -> None:
        """End, and give nothing back; its jobs end with it."""
        assert await end(self._tasks, 5)
        for job_id in self.tokens:
            self.hall.running.discard(job_id)
        await self.store.close()
