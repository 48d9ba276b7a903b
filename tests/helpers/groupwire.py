"""The plain way to a group: commands go to its list, and are claimed in its hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis

from corex_shared.keys import Keys
from tests.helpers.wire import Pairs, Wire, read

LEASE = 1.5
SHORT = {"COREX_NODE_LIMITS_LEASE": f"{LEASE}", "COREX_NODE_LIMITS_HEARTBEAT": "0.3"}
"""Settings of nodes that are soon taken for gone."""


def member_of(group: str, max_jobs: int = 200, more: Mapping[str, str] | None = None) -> Pairs:
    """Settings of a node of a group, with short leases."""
    return {
        **SHORT,
        "COREX_NODE_GROUPS": group,
        "COREX_NODE_MAX_JOBS": str(max_jobs),
        **(more or {}),
    }


class GroupWire(Wire):
    """Speaks with a group wherever no node is named."""

    def __init__(self, client: redis.Redis, keys: Keys, group: str) -> None:
        """Speak over a client whose answers are bytes."""
        super().__init__(client, keys, "n1")
        self.group = group

    def push_bytes(self, *payloads: bytes, control: bool = False, node: str | None = None) -> None:
        """Push payloads in one command, in order."""
        if control or node:
            super().push_bytes(*payloads, control=control, node=node)
        else:
            self.redis.rpush(self.keys.group_commands(self.group), *payloads)

    def claimed(self, node: str | None = None) -> dict[bytes, bytes]:
        """Read the group's claimed hash, or that of a node."""
        if node is not None:
            return super().claimed(node)
        found: dict[bytes, bytes] = self.redis.hgetall(self.keys.group_claimed(self.group))
        return found

    def waiting(self, node: str | None = None) -> list[Pairs]:
        """Read the commands that nobody has taken yet, in order."""
        if node is not None:
            return super().waiting(node)
        return [
            read(item) for item in self.redis.lrange(self.keys.group_commands(self.group), 0, -1)
        ]

    def members(self) -> list[str]:
        """Nodes that have a lease, quiet ones with a `~` before them."""
        found: list[Any] = self.redis.zrange(self.keys.group_leases(self.group), 0, -1)
        return sorted(member.decode().rpartition("/")[0] for member in found)
