"""The lease of a node in Redis."""

from __future__ import annotations

from typing import Any

from corex_node.leases import LeaseAnswer
from corex_shared.connection import COMMAND_TIMEOUT, Endpoint, execute
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

_SHORTEST = 0.5
"""Seconds that the server has to answer at least, however short the lease."""


class NodeLeaseStore:
    """The lease of a node, by a blocking client of its own: used from the heartbeat's thread."""

    def __init__(
        self, endpoint: Endpoint, keys: Keys, node: str, incarnation: str, lease: float
    ) -> None:
        """Make the client; nothing is sent yet.

        Args:
            endpoint: where Redis is.
            keys: of the namespace.
            node: whose lease it is.
            incarnation: that is to hold it.
            lease: seconds; a renewal is given up early enough for another within that time.
        """
        self._client = endpoint.command(min(COMMAND_TIMEOUT, max(_SHORTEST, lease / 3)))
        self._keys = keys
        self._node = node
        self._incarnation = incarnation

    def lease(self, fields: dict[str, str | int], ttl_ms: int, replaces: str) -> LeaseAnswer:
        """Take or renew the lease (lua/lease.lua).

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        arguments: list[Argument] = [self._incarnation, ttl_ms, replaces]
        for name, value in fields.items():
            arguments += (name, value)
        call = script("lease").call([self._keys.presence(self._node)], arguments)
        answer = execute(self._client, [call])[0]
        if answer[0] == 1:
            return LeaseAnswer(True, answer[1], fresh=bool(answer[2]))
        holder, boot, pid, start, host, address, started = (part.decode() for part in answer[2:9])
        return LeaseAnswer(
            held=False,
            server_ms=answer[1],
            holder=holder,
            boot=boot,
            pid=int(pid or 0),
            pid_start=int(start or 0),
            host=host,
            address=address,
            started=int(started or 0),
            ttl_ms=answer[9],
        )

    def seen(self, server_ms: int) -> None:
        """Note in the list of all nodes when this one was seen last."""
        execute(self._client, [("ZADD", self._keys.nodes(), server_ms, self._node)])

    def renew(self, calls: list[Call]) -> list[Any]:
        """Run the commands of renewals in one round trip; a refused one has its error as answer.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        return execute(self._client, calls, keep_refusals=True)

    def unlease(self) -> None:
        """Give the lease back."""
        call = script("unlease").call([self._keys.presence(self._node)], [self._incarnation])
        execute(self._client, [call])

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
