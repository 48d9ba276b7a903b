"""Asking one server something, past all that a library would make of it."""

from __future__ import annotations

from typing import Any

import redis

HOST = "127.0.0.1"


def ask(port: int, *words: Any) -> Any:
    """Say something to the server at a port of this machine, and return its answer."""
    with redis.Redis(host=HOST, port=port, socket_timeout=5, protocol=2) as client:
        # As words of their own, so that the library leaves the answer as it is.
        return client.pipeline(transaction=False).execute_command(*words).execute()[0]
