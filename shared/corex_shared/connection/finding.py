"""Connections that find their server as they connect: a master by its Sentinels, or any node.

Built on redis-py's pools for Sentinel: whenever a connection is opened, they ask where to; and when
the answer is another one than before, idle connections to the old place are closed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ResponseError
from redis.retry import Retry

from corex_shared.connection.nodes import KnownNodes
from corex_shared.connection.packing import BlockingExplaining, Explaining, Noticing, Packing
from corex_shared.connection.sentinels import AsyncSentinels, Sentinels, ask_another_first
from corex_shared.connection.urls import Address, Location

FIND_TIMEOUT = 2.0
"""Seconds within which a Sentinel, or a node that is asked for the others, answers."""
_NO_MASTER = "the Sentinels' master is none (yet)"


class KnownMaster:
    """Whether the master is still where it was, for all clients that look for the same.

    What one of them finds out, the others need not: each would wait for one that hangs. Used from
    several threads.

    Attributes:
        doubts: how often it was doubted.
    """

    def __init__(self) -> None:
        self.doubts = 0

    def doubt(self) -> None:
        """Have every client ask anew before it uses a connection that is idle now."""
        self.doubts += 1


def doubt_master(client: redis.Redis | redis.asyncio.Redis) -> None:
    """Take note that a client's master failed, or is none; of a server by itself there is none."""
    known = getattr(client.connection_pool, "known", None)
    if isinstance(known, KnownMaster):
        known.doubt()


class _Managed(redis.sentinel.SentinelManagedConnection):
    """To whom the Sentinels say."""

    def connect_to(self, address: Address) -> None:
        """Connect, and see that it is a master.

        A Sentinel that was cut off from the others may name a master that is none any more.

        Raises:
            ConnectionError: it is not.
        """
        super().connect_to(address)  # type: ignore[no-untyped-call]
        if not self.connection_pool.is_master:
            return
        try:
            self.send_command("ROLE")  # type: ignore[no-untyped-call]
            role = self.read_response()
        except ResponseError:
            return  # it may not be asked
        if role[0] not in (b"master", "master"):
            self.disconnect()  # type: ignore[no-untyped-call]
            ask_another_first(self.connection_pool.sentinel_manager)
            raise LostError(_NO_MASTER)

    def read_response(self, *form: Any, **options: Any) -> Any:
        """Read an answer; READONLY too is one, and no end of the connection.

        redis-py would lose the answers to a whole pipeline; and it would keep a connection whose
        answer did not come in time.
        """
        return Connection.read_response(self, *form, **options)


class _ManagedSSL(BlockingExplaining, _Managed, SSLConnection):
    """With TLS."""


class _AsyncManaged(Noticing, Packing, redis.asyncio.sentinel.SentinelManagedConnection):
    """To whom the Sentinels say."""

    async def connect_to(self, address: Address) -> None:
        """Connect, and see that it is a master.

        Raises:
            ConnectionError: it is not.
        """
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        if not self.connection_pool.is_master:
            return
        try:
            await self.send_command("ROLE")
            role = await self.read_response()
        except ResponseError:
            return
        if role[0] not in (b"master", "master"):
            await self.disconnect()
            ask_another_first(self.connection_pool.sentinel_manager)
            raise LostError(_NO_MASTER)

    async def read_response(self, *form: Any, **options: Any) -> Any:
        """Read an answer; READONLY too is one, and no end of the connection."""
        return await AsyncConnection.read_response(self, *form, **options)


class _AsyncManagedSSL(Explaining, _AsyncManaged, AsyncSSLConnection):
    """With TLS."""


class _Pool(redis.sentinel.SentinelConnectionPool):
    """Asks anew when the master is doubted; closes connections to Sentinels with its own."""

    def __init__(self, *form: Any, known: KnownMaster, **options: Any) -> None:
        super().__init__(*form, **options)  # type: ignore[no-untyped-call]
        self.known = known
        self._doubts = known.doubts

    def get_connection(self, *form: Any, **options: Any) -> Any:
        if self._doubts != self.known.doubts:
            self._doubts = self.known.doubts
            self.disconnect(inuse_connections=False)
        return super().get_connection(*form, **options)

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                sentinel.close()


class _AsyncPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Asks anew when the master is doubted; closes connections to Sentinels with its own."""

    def __init__(self, *form: Any, known: KnownMaster, **options: Any) -> None:
        super().__init__(*form, **options)  # type: ignore[no-untyped-call]
        self.known = known
        self._doubts = known.doubts

    async def get_connection(self, *form: Any, **options: Any) -> Any:
        if self._doubts != self.known.doubts:
            self._doubts = self.known.doubts
            await self.disconnect(inuse_connections=False)
        return await super().get_connection(*form, **options)  # type: ignore[no-untyped-call]

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def master(location: Location, known: KnownMaster, settings: Mapping[str, Any]) -> redis.Redis:
    """Make a client of the master that Sentinels name."""
    manager = Sentinels(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs={
            **_to_sentinels(location),
            "retry": Retry(NoBackoff(), 0),
        },
    )
    pool = _Pool(
        location.service,
        manager,
        known=known,
        connection_class=_ManagedSSL if location.tls else _Managed,
        **location.options,
        **settings,
    )
    return redis.Redis.from_pool(pool)


def async_master(
    location: Location, known: KnownMaster, settings: Mapping[str, Any]
) -> redis.asyncio.Redis:
    """Make an asyncio client of the master that Sentinels name."""
    manager = AsyncSentinels(  # type: ignore[no-untyped-call]
        location.hosts,
        sentinel_kwargs={
            **_to_sentinels(location),
            "retry": redis.asyncio.retry.Retry(NoBackoff(), 0),
        },
    )
    pool = _AsyncPool(
        location.service,
        manager,
        known=known,
        connection_class=_AsyncManagedSSL if location.tls else _AsyncManaged,
        **location.options,
        **settings,
    )
    return redis.asyncio.Redis.from_pool(pool)


def _to_sentinels(location: Location) -> dict[str, Any]:
    tls = {key: value for key, value in location.options.items() if key.startswith("ssl_")}
    return {
        **(tls if location.tls else {}),
        **location.sentinel,
        "ssl": location.tls,
        "socket_timeout": FIND_TIMEOUT,
        "socket_connect_timeout": FIND_TIMEOUT,
        "protocol": 2,
    }


class _AnyNode:
    """In a Sentinel's place: names all nodes of a Cluster, in any order."""

    def __init__(self, nodes: KnownNodes) -> None:
        self._nodes = nodes

    def discover_slaves(self, service: str) -> Sequence[Address]:
        del service
        return self._nodes.shuffled()

    def discover_master(self, service: str) -> Address:
        del service
        return random.choice(self._nodes.shuffled())


class _AsyncAnyNode(_AnyNode):
    async def discover_slaves(self, service: str) -> Sequence[Address]:  # type: ignore[override]
        return super().discover_slaves(service)

    async def discover_master(self, service: str) -> Address:  # type: ignore[override]
        return super().discover_master(service)


def any_node(location: Location, nodes: KnownNodes, settings: Mapping[str, Any]) -> redis.Redis:
    """Make a client of any node of a Cluster, the next one when one is lost."""
    pool = redis.sentinel.SentinelConnectionPool(  # type: ignore[no-untyped-call]
        "any node",
        _AnyNode(nodes),
        is_master=False,
        connection_class=_ManagedSSL if location.tls else _Managed,
        **location.options,
        **settings,
    )
    return redis.Redis.from_pool(pool)


def async_any_node(
    location: Location, nodes: KnownNodes, settings: Mapping[str, Any]
) -> redis.asyncio.Redis:
    """Make an asyncio client of any node of a Cluster, the next one when one is lost."""
    pool = redis.asyncio.sentinel.SentinelConnectionPool(  # type: ignore[no-untyped-call]
        "any node",
        _AsyncAnyNode(nodes),
        is_master=False,
        connection_class=_AsyncManagedSSL if location.tls else _AsyncManaged,
        **location.options,
        **settings,
    )
    return redis.asyncio.Redis.from_pool(pool)
