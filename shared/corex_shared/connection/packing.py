"""Asyncio connections that pack commands in C, as redis-py's blocking ones do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection


class Packing:
    """Packs commands in C.

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


class PackedConnection(Packing, Connection):
    """TCP."""


class PackedSSLConnection(Packing, SSLConnection):
    """TLS."""


class PackedUnixConnection(Packing, UnixDomainSocketConnection):
    """Unix socket."""
