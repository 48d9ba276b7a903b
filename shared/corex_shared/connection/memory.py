"""Servers that are in this process's memory only, for tests: `memory://NAME`.

Which they are is registered by `corex.testing`, which has them: nothing of such a server is here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MemoryServer:
    """A server, as pools of connections see it.

    Attributes:
        connection: class of connections that block.
        async_connection: class of connections for asyncio.
        settings: of each connection.
    """

    connection: type
    async_connection: type
    settings: Mapping[str, Any] = field(default_factory=dict)


_LOCK = threading.Lock()
_SERVERS: dict[str, MemoryServer] = {}


def register(name: str, server: MemoryServer) -> None:
    """Make a server known by a name that no other has."""
    with _LOCK:
        _SERVERS[name] = server


def unregister(name: str) -> None:
    """Forget a server; connections to it go on."""
    with _LOCK:
        _SERVERS.pop(name, None)


def find(name: str) -> MemoryServer:
    """Find a server.

    Raises:
        ValueError: there is none of that name in this process.
    """
    with _LOCK:
        if name not in _SERVERS:
            raise ValueError("there is no such server in this process: see corex.testing")
        return _SERVERS[name]
