"""Brings log records of jobs to the lists of those who subscribed to them.

* Keeps the node's most recent records, so that a subscriber begins with what has just happened.
* Takes messages of jobs as they come, at once and without waiting; no job is ever slowed.
* Writes to all lists in one round trip; while that is under way, the next batch gathers.
* Drops the oldest of what waits while Redis is away or slower than the jobs: a subscriber sees the
  gap in `seq`.
* Ends the subscription of somebody who reads no more.

Subscriptions are the agent's: they end with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import structlog

from corex_node.feed import Feed, FeedLimits, Record, Records
from corex_node.feed_store import FeedBatch, FeedStore, Lengths
from corex_node.manager.jobs import Job
from corex_node.patience import until_available
from corex_shared.errors import ServiceUnavailableError, StoreRefusedError
from corex_shared.identifiers import new_id

_AT_ONCE, _AT_ONCE_SIZE = 1000, 256 * 1024
"""Records of one round trip, and their characters, about: encoding may not hold up the loop."""
_JOIN_WITHIN = 0.01
"""Seconds between two round trips, in which records join."""

_log = structlog.get_logger()


class Feeds:
    """All subscriptions of one node; a tap of its process manager.

    Attributes:
        levels: of the messages that it is to get.
    """

    def __init__(
        self,
        store: FeedStore,
        node: str,
        node_levels: frozenset[int],
        limits: FeedLimits | None = None,
    ) -> None:
        """Begin with none. `node_levels` are kept for later subscribers, and are their default."""
        self._store = store
        self._node = node
        self._node_levels = node_levels
        self._limits = limits or FeedLimits()
        self._recent = Records(self._limits.recent, self._limits.recent_size)
        self._feeds: dict[str, Feed] = {}
        self._over: dict[str, asyncio.Future[None]] = {}  # queues whose lists are to go
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.levels = node_levels

    # -- tap ----------------------------------------------------------------------------------

    def message(self, job: Job, level: int, text: str, epoch: int) -> None:
        """Take a message of a job that came at `epoch` (ns)."""
        record = Record(job.id, level, text, epoch)
        if level in self._node_levels:
            self._recent.append(record)
        for feed in self._feeds.values():
            if level in feed.levels:
                self._add(feed, record)

    def _add(self, feed: Feed, record: Record) -> None:
        before = feed.dropped
        feed.add(record)
        if feed.dropped.bit_length() > before.bit_length():  # 1, 2, 4, 8 …
            _log.warning("logger.dropped", queue=feed.queue, records=feed.dropped)
        self._stir()

    # -- subscriptions ------------------------------------------------------------------------

    def subscribe(self, queue: str, levels: Collection[int]) -> str:
        """Have records written to a list: the recent ones, then all that come.

        One that exists gets other levels, and no recent records again.

        Args:
            queue: names the list; a new name is made when empty.
            levels: that are wanted; none for those of the node.

        Returns:
            Name of the list, as Redis knows it.

        Raises:
            ServiceUnavailableError: there are too many subscriptions.
        """
        queue = queue or new_id()
        wanted = frozenset(levels) or self._node_levels
        now = time.monotonic()
        feed = self._feeds.get(queue)
        if feed is None:
            self._make_room(now)
            feed = self._feeds[queue] = Feed(queue, wanted, self._limits, now)
            for record in self._recent:
                if record.level in wanted:
                    self._add(feed, record)
        else:
            feed.renew(wanted, now)
        self._learn_levels()
        self._stir()
        return self._store.key(queue)

    async def unsubscribe(self, queue: str) -> None:
        """Remove a list, and write to it no more; no matter whether it was subscribed to."""
        self._end(queue)
        await asyncio.shield(self._over[queue])

    async def flushed(self) -> None:
        """Return when nothing waits any more; the caller bounds the wait."""
        await self._idle.wait()

    def _make_room(self, now: float) -> None:
        """See that one more is allowed; whoever was silent for long has to make room.

        A list on which nothing comes is empty whether its reader is there or not: it stays for as
        long as it is in nobody's way.
        """
        if len(self._feeds) < self._limits.feeds:
            return
        oldest = min(self._feeds.values(), key=lambda feed: feed.heard_of)
        if now - oldest.heard_of < self._limits.patience:
            raise ServiceUnavailableError(f"queue: {len(self._feeds)} are subscribed to already")
        _log.info("logger.displaced", queue=oldest.queue)
        self._end(oldest.queue)

    def _end(self, queue: str) -> None:
        """Write to a list no more, and have it removed."""
        self._forget(queue)
        if queue not in self._over:
            self._over[queue] = asyncio.get_running_loop().create_future()
        self._stir()

    def _forget(self, queue: str) -> None:
        self._feeds.pop(queue, None)
        self._learn_levels()

    def _learn_levels(self) -> None:
        self.levels = self._node_levels.union(*(feed.levels for feed in self._feeds.values()))

    def _stir(self) -> None:
        self._idle.clear()
        self._wake.set()

    # -- component ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Write whatever comes; to be cancelled."""
        while True:
            await self._gather()
            await self._remove()
            await self._write()
            await asyncio.sleep(_JOIN_WITHIN)

    async def _gather(self) -> None:
        """Return when there is something to write, or lists may be due for a look."""
        now = time.monotonic()
        if self._over or any(feed.is_due(now) for feed in self._feeds.values()):
            return
        self._idle.set()
        self._wake.clear()
        try:
            async with asyncio.timeout(self._limits.look if self._feeds else None):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _remove(self) -> None:
        """Remove lists; done before anything is written to new ones of the same names."""
        over, self._over = self._over, {}
        if not over:
            return
        await until_available(lambda: self._store.remove(list(over)))
        for done in over.values():
            done.set_result(None)

    async def _write(self) -> None:
        taken = self._take()
        if not taken:
            return
        batches = [batch for _, batch in taken]
        answers = await until_available(lambda: self._store.push(batches))
        now = time.monotonic()
        for (feed, _), answer in zip(taken, answers, strict=True):
            if self._feeds.get(feed.queue) is feed:  # not unsubscribed meanwhile
                self._learn(feed, answer, now)

    def _take(self) -> list[tuple[Feed, FeedBatch]]:
        """Take what one round trip is to write; who had to wait for it longest comes first."""
        now = time.monotonic()
        due = sorted(
            (feed for feed in self._feeds.values() if feed.is_due(now)),
            key=lambda feed: feed.seen,
        )
        taken: list[tuple[Feed, FeedBatch]] = []
        left = _AT_ONCE_SIZE
        for feed in due:
            batch = feed.batch(self._node, max(1, _AT_ONCE // len(due)), left)
            taken.append((feed, batch))
            left -= sum(len(record) for record in batch.records)
            if left <= 0:
                break
        return taken

    def _learn(self, feed: Feed, answer: Lengths | StoreRefusedError, now: float) -> None:
        if isinstance(answer, StoreRefusedError):  # somebody else's key: it stays
            _log.warning("logger.refused", queue=feed.queue, reason=str(answer))
            self._forget(feed.queue)
        elif not feed.observe(answer, now):
            _log.info("logger.abandoned", queue=feed.queue)
            self._end(feed.queue)
