"""Connections to a Redis in memory."""

from __future__ import annotations

from typing import Any

from fakeredis import FakeRedisConnection, FakeServer
from fakeredis.aioredis import (
    AsyncFakeSocket,
    FakeAsyncRedisConnection,
    FakeReader,
    FakeWriter,
)

from corex_shared.connection.packing import Noticing


class Gate:
    """A server as some connections see it: these can be cut off from it, and others not.

    Attributes:
        connected: whether they reach it.
    """

    def __init__(self, server: FakeServer) -> None:
        """Stand before a server; open."""
        self._behind = server
        self.connected = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


class _Socket(AsyncFakeSocket):
    """A socket whose blocking command ends when its connection is closed.

    As it is in the library, a BLPOP that was cancelled would go on and take what is for others.
    """

    _is_left = False

    def leave(self) -> None:
        """Do nothing more: end what blocks, and nothing that was sent behind it."""
        self._is_left = True
        if self._blocked:
            with self._server.lock:
                self._unblock_reason = b"timeout"
                self._db.wake_all()

    def resume(self) -> None:
        """Go on with what was sent behind a blocking command."""
        if not self._is_left:
            super().resume()


class _Connection(FakeAsyncRedisConnection):
    async def _connect(self) -> None:
        if self._server is None or not self._server.connected:
            raise self._connection_error_class("the server in memory is away")
        self._sock = _Socket(
            self._server,
            self.db,
            client_class=self._client_class,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
        )
        self._reader = FakeReader(self._sock)
        self._writer = FakeWriter(self._sock)

    async def disconnect(self, *arguments: Any, **more: Any) -> None:
        socket = self._sock
        await super().disconnect(*arguments, **more)
        if isinstance(socket, _Socket):
            socket.leave()


class AsyncMemoryConnection(Noticing, _Connection):  # type: ignore[misc]  # as the library does it
    """For asyncio."""


class MemoryConnection(FakeRedisConnection):
    """For clients that block."""
