"""All that one agent says to Redis, by the parts that say it, over one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from corex_node.config import Config
from corex_node.feed_store import FeedStore
from corex_node.group_store import GroupStore
from corex_node.lease_store import NodeLeaseStore
from corex_node.queue_store import QueueStore
from corex_node.reaper_store import ReaperStore
from corex_node.store import NodeStore
from corex_shared.connection import Endpoint
from corex_shared.keys import Keys


@dataclass(frozen=True, slots=True)
class Stores:
    """The Redis side of an agent.

    Attributes:
        endpoint: where Redis is.
        keys: of the namespace.
        node: of commands and jobs.
        lease: of the node's lease; used from the heartbeat's thread.
        feeds: of the node's log for its subscribers.
        groups: of leases in groups, and of what others left there.
        queues: of the queues that all nodes share.
        reaper: of what nodes left that are gone.
    """

    endpoint: Endpoint
    keys: Keys
    node: NodeStore
    lease: NodeLeaseStore
    feeds: FeedStore
    groups: GroupStore
    queues: QueueStore
    reaper: ReaperStore

    @classmethod
    def of(cls, config: Config, incarnation: str) -> Stores:
        """Make them; nothing is opened yet.

        Raises:
            ConfigError: the URL cannot be used.
        """
        endpoint, keys = Endpoint(config.main.url), Keys(config.main.namespace)
        node, lease = config.main.id, config.limits.lease
        return cls(
            endpoint=endpoint,
            keys=keys,
            node=NodeStore(endpoint, keys, node, incarnation),
            lease=NodeLeaseStore(endpoint, keys, node, incarnation, lease),
            feeds=FeedStore(endpoint, keys, node),
            groups=GroupStore(endpoint, keys, node, incarnation),
            queues=QueueStore(endpoint, keys, node, incarnation, lease),
            reaper=ReaperStore(endpoint, keys, incarnation),
        )

    async def close(self) -> None:
        """Close all connections."""
        self.lease.close()
        for store in (self.node, self.feeds, self.groups, self.queues, self.reaper):
            await store.close()
