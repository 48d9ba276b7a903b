"""Connections as they are here: packed in C, noticed when they are made anew, explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import hiredis
import redis.connection
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as LateError

from corex_shared import tls
from corex_shared.connection.answers import is_about_credentials


class Packing:
    """Packs commands in C, as redis-py's blocking connections do and its asyncio ones do not.

    A batch of results has thousands of arguments; packing them one by one in Python took more
    time than all else that is done for a command.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Write one command in Redis's protocol."""
        return self.pack_commands([args])

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Write commands in Redis's protocol; a name of two words is two arguments."""
        packed = []
        for name, *arguments in commands:
            words = name.split() if isinstance(name, str) else [name]
            packed.append(hiredis.pack_command((*words, *arguments)))
        return [b"".join(packed)]


def _nobody() -> None:
    """Hear nothing."""


class Noticing:
    """Tells when it is connected anew, which the library does in silence.

    A pool that finds a connection closed opens it again before it is used, and no error is seen;
    but the server may be another one by then, or the same without its last moments.
    """

    def __init__(self, *, on_reconnect: Callable[[], None] = _nobody, **settings: Any) -> None:
        super().__init__(**settings)
        self._on_reconnect = on_reconnect
        self._was_connected = False

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]  # of the class that this is mixed into
        if self._was_connected:
            self._on_reconnect()
        self._was_connected = True


class Explaining:
    """Says what went wrong with TLS in words for people; reads its files anew each time."""

    ssl_context: Any

    async def connect(self) -> None:
        """Connect."""
        self.ssl_context.context = None  # its files may have been renewed since
        try:
            await super().connect()  # type: ignore[misc]  # of the class that this is mixed into
        except (LostError, LateError) as error:
            raise _explained(error, self) from error


class BlockingExplaining:
    """The same for clients that block."""

    def connect(self) -> None:
        """Connect."""
        try:
            super().connect()  # type: ignore[misc]  # of the class that this is mixed into
        except (LostError, LateError) as error:
            raise _explained(error, self) from error


def _explained(error: Exception, connection: Any) -> Exception:
    if is_about_credentials(error):
        return error
    has_certificate = getattr(connection, "certfile", None) is not None
    return type(error)(tls.explain(str(error), has_certificate))


class PackedConnection(Noticing, Packing, Connection):
    """TCP."""


class PackedSSLConnection(Explaining, Noticing, Packing, SSLConnection):
    """TLS."""


class PackedUnixConnection(Noticing, Packing, UnixDomainSocketConnection):
    """Unix socket."""


class BlockingSSLConnection(BlockingExplaining, redis.connection.SSLConnection):
    """TLS, for clients that block."""
