"""URL → clients.

Three uses need three settings. redis-py's defaults (a socket timeout of 5 s that also cuts
blocking commands, ten blind retries that repeat a write whose answer was lost) fit none of them:

* **command**: answers within `COMMAND_TIMEOUT`, no retry. Callers repeat what is harmless to
  repeat, and know when they do.
* **blocking**: waits `block` seconds on the server, so the socket waits longer than that.
* **pubsub**: silent as long as nobody publishes; a health check finds a half-open connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.connection import (
    Connection,
    ConnectionPool,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from corex_shared import tls
from corex_shared.connection import finding, memory, packing
from corex_shared.connection.cluster import AsyncClusterClient, Chart, ClusterClient
from corex_shared.connection.nodes import KnownNodes
from corex_shared.connection.urls import Address, Kind, parse, safe_url

CONNECT_TIMEOUT = 5.0
"""Seconds to reach the server."""
COMMAND_TIMEOUT = 10.0
"""Seconds within which a command that does not block is answered."""
BLOCK_MARGIN = 5.0
"""Seconds that the socket of a blocking command waits beyond the block."""
HEALTH_CHECK = 15.0
"""Seconds of silence after which a subscription is checked."""
BLOCK_WITH_OTHERS = 5.0
"""Seconds for which a command should block where another server may take over: one that hangs is
noticed only when the block is overdue."""

RedisClient: TypeAlias = redis.Redis | ClusterClient
AsyncRedisClient: TypeAlias = redis.asyncio.Redis | AsyncClusterClient


class Endpoint:
    """Redis, by its URL, and the clients that reach it.

    One server, or a master by its Sentinels, or a Cluster; each with or without TLS.

    Attributes:
        url: where it is.
        is_cluster: whether keys are in many places, each slot's in one.
        on_reconnect: called when a connection of an asyncio client was lost and is there again,
            before anything is sent over it.
    """

    def __init__(self, url: str) -> None:
        """Check the URL; nothing is opened yet.

        Raises:
            ConfigError: the scheme or the form of the URL is not known.
        """
        self.url = url
        self.on_reconnect: Callable[[], None] = lambda: None
        self._location = parse(url)
        if self._location.tls:
            tls.check_files(self._location.options)
        self._chart = Chart(KnownNodes(self._location.hosts))
        self._master = finding.KnownMaster()
        self.is_cluster = self._location.kind is Kind.CLUSTER

    def __repr__(self) -> str:
        return f"<Endpoint {safe_url(self.url)}>"

    def longest_block(self, wanted: float) -> float:
        """Say for how long a command should block that could block for `wanted` seconds."""
        if self._location.kind in (Kind.SENTINEL, Kind.CLUSTER):
            return min(wanted, BLOCK_WITH_OTHERS)
        return wanted

    def command(self, timeout: float = COMMAND_TIMEOUT) -> RedisClient:
        """Make a client for commands that do not block, answered within `timeout` seconds."""
        return self._client(timeout)

    def blocking(self, block: float) -> RedisClient:
        """Make a client for commands that block for up to `block` seconds."""
        return self._client(block + BLOCK_MARGIN)

    def pubsub(self) -> redis.Redis:
        """Make a client for subscriptions; on a Cluster, whose nodes all hear all, of any node."""
        settings = self._settings(COMMAND_TIMEOUT, health_check_interval=HEALTH_CHECK)
        location = self._location
        if self.is_cluster:
            return finding.any_node(location, self._chart.nodes, settings)
        if location.kind is Kind.SENTINEL:
            return finding.master(location, self._master, settings)
        return self._direct(self._only, settings)

    def async_command(self) -> AsyncRedisClient:
        """Make an asyncio client for commands that do not block."""
        return self._async_client(COMMAND_TIMEOUT)

    def async_blocking(self, block: float) -> AsyncRedisClient:
        """Make an asyncio client for commands that block for up to `block` seconds."""
        return self._async_client(block + BLOCK_MARGIN)

    def async_pubsub(self) -> redis.asyncio.Redis:
        """Make an asyncio client for subscriptions; on a Cluster of any node."""
        settings = self._async_settings(COMMAND_TIMEOUT, health_check_interval=HEALTH_CHECK)
        location = self._location
        if self.is_cluster:
            return finding.async_any_node(location, self._chart.nodes, settings)
        if location.kind is Kind.SENTINEL:
            return finding.async_master(location, self._master, settings)
        return self._async_direct(self._only, settings)

    def _client(self, timeout: float) -> RedisClient:
        settings = self._settings(timeout)
        if self._location.kind is Kind.SENTINEL:
            return finding.master(self._location, self._master, settings)
        if self.is_cluster:
            probing = self._settings(finding.FIND_TIMEOUT)
            return ClusterClient(
                self._chart,
                lambda address: self._direct(address, settings),
                lambda address: self._direct(address, probing),
            )
        return self._direct(self._only, settings)

    def _async_client(self, timeout: float) -> AsyncRedisClient:
        settings = self._async_settings(timeout)
        if self._location.kind is Kind.SENTINEL:
            return finding.async_master(self._location, self._master, settings)
        if self.is_cluster:
            probing = self._async_settings(finding.FIND_TIMEOUT)
            return AsyncClusterClient(
                self._chart,
                lambda address: self._async_direct(address, settings),
                lambda address: self._async_direct(address, probing),
            )
        return self._async_direct(self._only, settings)

    @property
    def _only(self) -> Address | None:
        """Host and port of the only server; None for a Unix socket."""
        return self._location.hosts[0] if self._location.hosts else None

    def _direct(self, address: Address | None, settings: dict[str, Any]) -> redis.Redis:
        if self._location.kind is Kind.MEMORY:
            server = memory.find(self._location.service)
            memory_pool = ConnectionPool(
                connection_class=server.connection, **{**settings, **server.settings}
            )
            return redis.Redis.from_pool(memory_pool)
        kind: type = UnixDomainSocketConnection
        if address is not None:
            kind = packing.BlockingSSLConnection if self._location.tls else Connection
        pool = ConnectionPool(connection_class=kind, **self._options(address), **settings)
        return redis.Redis.from_pool(pool)

    def _async_direct(
        self, address: Address | None, settings: dict[str, Any]
    ) -> redis.asyncio.Redis:
        if self._location.kind is Kind.MEMORY:
            server = memory.find(self._location.service)
            memory_pool = redis.asyncio.ConnectionPool(
                connection_class=server.async_connection, **{**settings, **server.settings}
            )
            return redis.asyncio.Redis.from_pool(memory_pool)
        kind: type = packing.PackedUnixConnection
        if address is not None:
            tls = self._location.tls
            kind = packing.PackedSSLConnection if tls else packing.PackedConnection
        pool = redis.asyncio.ConnectionPool(
            connection_class=kind, **self._options(address), **settings
        )
        return redis.asyncio.Redis.from_pool(pool)

    def _options(self, address: Address | None) -> dict[str, Any]:
        place = {} if address is None else {"host": address[0], "port": address[1]}
        return {**self._location.options, **place}

    def _settings(self, timeout: float, **more: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": min(CONNECT_TIMEOUT, timeout),
            "protocol": 2,
            "socket_read_size": 262144,
            "retry": Retry(NoBackoff(), 0),
            **more,
        }
        # Older releases of redis-py do not look at the host name unless they are told to.
        if self._location.tls and "ssl_check_hostname" not in self._location.options:
            settings["ssl_check_hostname"] = self._location.options.get("ssl_cert_reqs") != "none"
        return settings

    def _async_settings(self, timeout: float, **more: Any) -> dict[str, Any]:
        retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
        return {
            **self._settings(timeout, **more),
            "retry": retry,
            "on_reconnect": self._reconnected,
        }

    def _reconnected(self) -> None:
        self.on_reconnect()  # whatever it is by then
