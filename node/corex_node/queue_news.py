"""Hears that queues of the fleet have become free, on one connection.

News may be lost, or come late: whoever waits also asks now and then. They only make it quick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from corex_shared.connection import Endpoint, translated
from corex_shared.endings import end
from corex_shared.errors import StoreError
from corex_shared.keys import Keys

_SLICE = 5.0
"""Seconds of a wait for news, after which the connection is looked at."""
_IDLE = 30.0
"""Seconds that a channel is listened to after nobody waits for its queue any more."""
_PAUSE = 1.0
"""Seconds after a connection was lost."""
_END_PATIENCE = 5.0

_log = structlog.get_logger()


class QueueNews:
    """Listens to the channels of the queues that a node waits for."""

    def __init__(
        self, endpoint: Endpoint, keys: Keys, node: str, heard: Callable[[str], object]
    ) -> None:
        """Prepare; nothing is opened until a queue is waited for.

        Args:
            endpoint: Redis.
            keys: of the fleet.
            node: news for others are not passed on.
            heard: called with a queue that may be this node's to take.
        """
        self._endpoint = endpoint
        self._keys = keys
        self._node = node.encode()
        self._heard = heard
        self._wanted: dict[str, float] = {}  # queue → until when, monotonic
        self._changed = asyncio.Event()

    def want(self, queue: str) -> None:
        """Listen for a queue for a while; to be repeated as long as it is waited for."""
        if queue not in self._wanted:
            self._changed.set()
        self._wanted[queue] = time.monotonic() + _IDLE

    async def run(self) -> None:
        """Listen whenever something is wanted; to be cancelled."""
        while True:
            await self._changed.wait()
            try:
                await self._listen_once()
                continue
            except StoreError as error:
                _log.warning("queue.deaf", reason=str(error))
            except Exception:  # noqa: BLE001 - news are a hint: nothing about them ends an agent
                _log.error("queue.deaf", exc_info=True)
            self._changed.set()
            await asyncio.sleep(_PAUSE)

    async def _listen_once(self) -> None:
        """Listen on one connection.

        Raises:
            StoreError: it was lost.
        """
        connection = _Listening(self._endpoint)
        try:
            await self._listen(connection)
        finally:
            # Shielded: whoever cancels it again may not leave the connection open.
            await asyncio.shield(asyncio.create_task(connection.close()))

    async def _listen(self, connection: _Listening) -> None:
        """Listen until nothing is wanted any more.

        Raises:
            StoreError: the connection was lost.
        """
        queues: dict[bytes, str] = {}  # by channel
        while True:
            self._changed.clear()
            await self._follow_wishes(connection, queues)
            if not queues:
                return
            message = await connection.next_message(self._changed)
            if message is None or message["type"] not in ("subscribe", "message"):
                continue
            queue = queues.get(message["channel"])
            # News that came before the subscription was heard by nobody: that is asked for too.
            is_ours = message["type"] == "subscribe" or message["data"] == self._node
            if queue is not None and is_ours:
                self._heard(queue)

    async def _follow_wishes(self, connection: _Listening, queues: dict[bytes, str]) -> None:
        """Listen to the channels that are wanted, and to no others."""
        now = time.monotonic()
        self._wanted = {queue: until for queue, until in self._wanted.items() if until > now}
        wanted = {self._keys.queue_news(queue).encode(): queue for queue in self._wanted}
        more, less = wanted.keys() - queues.keys(), queues.keys() - wanted.keys()
        queues.clear()
        queues.update(wanted)
        await connection.change(more, less)


class _Listening:
    """One connection for subscriptions; one task uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._client = endpoint.async_pubsub()
        self._pubsub = self._client.pubsub()
        self._reading: asyncio.Task[Any] | None = None

    async def change(self, more: set[bytes], less: set[bytes]) -> None:
        with translated():
            if more:
                await self._pubsub.subscribe(*sorted(more))
            if less:
                await self._pubsub.unsubscribe(*sorted(less))

    async def next_message(self, interrupt: asyncio.Event) -> dict[str, Any] | None:
        """Wait for a message, for a while, or until something else is to be done."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._pubsub.get_message(timeout=_SLICE))
        interrupted = asyncio.create_task(interrupt.wait())
        try:
            await asyncio.wait({self._reading, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted.cancel()
        if not self._reading.done():
            return None
        done, self._reading = self._reading, None
        with translated():
            message: dict[str, Any] | None = done.result()
        return message

    async def close(self) -> None:
        if self._reading is not None:
            ended = await end([self._reading], _END_PATIENCE)
            if ended and not self._reading.cancelled():
                self._reading.exception()  # it was seen
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()
