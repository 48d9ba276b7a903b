"""The queues that all nodes share, in Redis, as one node sees and changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from corex_node.manager.ports import FleetQueue
from corex_shared.connection import Endpoint, execute_async
from corex_shared.errors import StoreRefusedError
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

_KEPT_MS = 24 * 3_600_000
"""How long a line is kept for which nobody asks: places outlive an outage of Redis."""
_TOKEN_MS = 365 * 24 * 3_600_000
"""How long the last token is kept, so that the next is higher."""
_LONGEST_DOUBT = 3.0
"""Seconds that one whose time has run out is waited for, as far as its lease is not shorter.

When Redis comes back everybody's time has run out. An agent asks again within half a second.
"""


class Entering(Struct, frozen=True):
    """A job that is to stand in line.

    Attributes:
        job: its ID.
        adopts: whether it is the same that an earlier agent of the node knew by that ID.
    """

    job: str
    adopts: bool


class Leaving(Struct, frozen=True):
    """A job that holds a queue, or stands in its line, and no more.

    Attributes:
        job: its ID.
        token: by which it holds the queue, 0 when it waits.
        anybodys: whether the node's earlier agents are meant too.
    """

    job: str
    token: int
    anybodys: bool = False


class Request(Struct, frozen=True):
    """What a node has to say of one queue, and wants to know.

    Attributes:
        queue: its name.
        leaving: told first.
        entering: told then, in order.
        waits: whether the queue is to be taken if it is the turn of a job of this node.
    """

    queue: str
    leaving: tuple[Leaving, ...]
    entering: tuple[Entering, ...]
    waits: bool


class Answer(Struct, frozen=True):
    """What became of a request.

    Attributes:
        grants: jobs of this node that hold the queue, with their tokens.
        is_new: whether the node was not known to wait: it has lost its places.
        length: of the line, before anything was granted.
        refusal: why Redis would not do it, empty otherwise.
    """

    grants: tuple[tuple[str, int], ...] = ()
    is_new: bool = False
    length: int = 0
    refusal: str = ""


class QueueStore:
    """The Redis side of one agent's places in queues of the fleet, by a connection of its own."""

    def __init__(
        self, endpoint: Endpoint, keys: Keys, node: str, incarnation: str, lease: float
    ) -> None:
        """Make the client; nothing is sent yet. `lease` is in seconds."""
        self._client = endpoint.async_command()
        self._keys = keys
        self._node = node
        self._incarnation = incarnation
        self._who: tuple[Argument, ...] = (
            node,
            incarnation,
            int(lease * 1000),
            _KEPT_MS,
            _TOKEN_MS,
        )
        self._doubt_ms = int(min(lease, _LONGEST_DOUBT) * 1000)

    async def tell(self, requests: Sequence[Request]) -> list[Answer]:
        """Tell of many queues what is to be told, and take those whose turn it is.

        One round trip, and harmless to repeat as long as nothing was told in between.

        Raises:
            StoreUnavailableError: some or all may have been done.
        """
        calls = [self._calls(request) for request in requests]
        replies = await execute_async(
            self._client, [call for some in calls for call in some], keep_refusals=True
        )
        answers = []
        for request, some in zip(requests, calls, strict=True):
            answers.append(_answer(request, replies[: len(some)]))
            del replies[: len(some)]
        return answers

    def _calls(self, request: Request) -> list[Call]:
        calls: list[Call] = []
        if request.leaving:
            calls.append(self._release(request.queue, request.leaving))
        if request.entering:
            calls.append(self._enter(request.queue, request.entering))
        if request.waits:
            calls.append(script("queue_take").call(self._four(request.queue), self._asks()))
        return calls

    def _asks(self) -> list[Argument]:
        return [*self._who, self._doubt_ms]

    def _release(self, queue: str, leaving: Sequence[Leaving]) -> Call:
        arguments: list[Argument] = [self._node, self._keys.queue_news(queue)]
        for item in leaving:
            arguments += (
                item.job,
                item.token or "",
                "" if item.anybodys else self._incarnation,
            )
        return script("queue_release").call(self._four(queue)[:3], arguments)

    def _enter(self, queue: str, entering: Sequence[Entering]) -> Call:
        arguments: list[Argument] = [*self._who]
        for item in entering:
            arguments += (item.job, int(item.adopts))
        return script("queue_enter").call(self._four(queue), arguments)

    def renewal(self, queue: str, waits: bool, held: Sequence[tuple[str, int]]) -> Call:
        """Make the command that renews what the node has of a queue (lua/queue_renew.lua).

        Args:
            queue: its name.
            waits: whether jobs of the node wait.
            held: jobs of the node that hold it, with their tokens.
        """
        arguments: list[Argument] = [*self._who, int(waits)]
        for job, token in held:
            arguments += (job, token)
        return script("queue_renew").call(self._four(queue), arguments)

    async def free(self, queue: str) -> tuple[str, str, int] | None:
        """Take a queue from whoever holds it; not to be repeated.

        Returns:
            Node, job and token of the holder (node and job are empty when its lease had run out),
            None when there was none.

        Raises:
            StoreError: it may have been done.
        """
        call = script("queue_free").call(
            self._four(queue)[:3], [self._keys.queue_news(queue), _KEPT_MS]
        )
        reply = (await execute_async(self._client, [call]))[0]
        if reply is None:
            return None
        node, job, token = reply
        return node.decode(), job.decode(), int(token)

    async def show(self, queues: Sequence[str]) -> list[FleetQueue]:
        """Read how queues stand, in one round trip.

        Raises:
            StoreError: Redis cannot be reached, or a key is somebody else's.
        """
        calls: list[Call] = []
        for queue in queues:
            owner, waiters, *_ = self._four(queue)
            calls.append(("HMGET", owner, "node", "job", "token", "since"))
            calls.append(("LRANGE", waiters, 0, -1))
        replies = await execute_async(self._client, calls) if calls else []
        return [
            _shown(queue, owner, waiters)
            for queue, owner, waiters in zip(queues, replies[::2], replies[1::2], strict=True)
        ]

    def _four(self, queue: str) -> list[str]:
        keys = self._keys
        return [
            keys.queue_owner(queue),
            keys.queue_waiters(queue),
            keys.queue_seen(queue),
            keys.queue_token(queue),
        ]

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def _answer(request: Request, replies: list[Any]) -> Answer:
    for reply in replies:
        if isinstance(reply, StoreRefusedError):
            return Answer(refusal=str(reply))
    grants: list[tuple[str, int]] = []
    if request.entering:
        tokens = replies[1 if request.leaving else 0]
        for item, token in zip(request.entering, tokens, strict=True):
            if token:
                grants.append((item.job, token))
    if not request.waits:
        return Answer(tuple(grants))
    is_new, length, *granted = replies[-1]
    if granted:
        grants.append((granted[0].decode(), int(granted[1])))
    return Answer(tuple(grants), bool(is_new), length)


def _shown(queue: str, owner: list[bytes | None], waiters: list[bytes]) -> FleetQueue:
    node, job, token, since = (part.decode() if part else "" for part in owner)
    return FleetQueue(
        queue, node, job, int(token or 0), int(since or 0), [entry.decode() for entry in waiters]
    )
