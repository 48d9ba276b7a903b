"""The lists of those who subscribe to a node's log, in Redis."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec import Struct

from corex_shared.connection import Endpoint, execute_async
from corex_shared.errors import StoreRefusedError
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

_log = structlog.get_logger()


class FeedBatch(Struct, frozen=True):
    """Records for one list.

    Attributes:
        queue: names the list.
        subscription: seq counts within it.
        first: seq of the first record.
        records: encoded, in order; none only looks at the list.
        kept: records that the list keeps at most.
        known: length of the list when it was seen last; a shorter one was read since.
        ttl_ms: after which a list that nobody reads goes.
    """

    queue: str
    subscription: str
    first: int
    records: list[bytes]
    kept: int
    known: int
    ttl_ms: int


class Lengths(Struct, frozen=True):
    """Length of a list before and after a batch."""

    before: int
    after: int


class FeedStore:
    """The lists of one node, by a connection of their own: no result waits for them."""

    def __init__(self, endpoint: Endpoint, keys: Keys, node: str) -> None:
        """Make the client; nothing is sent yet."""
        self._client = endpoint.async_command()
        self._keys = keys
        self._node = node

    def key(self, queue: str) -> str:
        """Name of a list."""
        return self._keys.logger(self._node, queue)

    async def push(self, batches: Sequence[FeedBatch]) -> list[Lengths | StoreRefusedError]:
        """Append records, in one round trip; harmless to repeat (lua/feed.lua).

        Returns:
            For each batch the lengths of its list, or why Redis refused it.

        Raises:
            StoreUnavailableError: some or all may have been done.
        """
        replies = await execute_async(
            self._client, [self._push(batch) for batch in batches], keep_refusals=True
        )
        return [
            reply if isinstance(reply, StoreRefusedError) else Lengths(*reply) for reply in replies
        ]

    def _push(self, batch: FeedBatch) -> Call:
        keys = [self.key(batch.queue), self._keys.logged(self._node, batch.queue)]
        arguments: list[Argument] = [
            batch.subscription,
            batch.first,
            batch.kept,
            batch.known,
            batch.ttl_ms,
            *batch.records,
        ]
        return script("feed").call(keys, arguments)

    async def remove(self, queues: Sequence[str]) -> None:
        """Remove lists with all that is in them.

        Raises:
            StoreUnavailableError: some or all may be there still.
        """
        calls: list[Call] = [
            ("UNLINK", self.key(queue), self._keys.logged(self._node, queue)) for queue in queues
        ]
        for reply in await execute_async(self._client, calls, keep_refusals=True):
            if isinstance(reply, StoreRefusedError):
                _log.error("logger.refused", reason=str(reply))

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()
