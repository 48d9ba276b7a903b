"""A Redis Cluster on this machine: masters with one replica each, of real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from corex_node.process.embedded import HOST, EmbeddedRedis
from tests.helpers.asking import ask
from tests.helpers.eventually import eventually
from tests.helpers.stacked import Stacked

SLOTS = 16384
MASTERS = 3
_NODE_TIMEOUT_MS = 1500
_SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
    "cluster-allow-replica-migration": "no",
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
}


class Cluster(Stacked):
    """Six servers, from `with` to its end.

    Attributes:
        servers: the masters first, in the order of their slots, then a replica of each.
    """

    def __init__(self, settings: dict[str, str] | None = None, *, replicas: bool = True) -> None:
        """Describe it; nothing is started yet.

        Args:
            settings: more of each server's.
            replicas: whether masters have replicas.
        """
        count = 2 * MASTERS if replicas else MASTERS
        self.servers = [EmbeddedRedis(settings=_SETTINGS | (settings or {})) for _ in range(count)]
        super().__init__()

    @property
    def url(self) -> str:
        """Where it is, by two of its nodes."""
        hosts = ",".join(f"{HOST}:{server.port}" for server in self.servers[:2])
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Start the servers, and make them one Cluster."""
        for server in self.servers:
            self.stack.enter_context(server)
        self._join()

    def ask(self, server: EmbeddedRedis, *words: Any) -> Any:
        """Say something to one server."""
        return ask(server.port, *words)

    def name(self, server: EmbeddedRedis) -> str:
        """ID of a node."""
        name: bytes = self.ask(server, "CLUSTER", "MYID")
        return name.decode()

    def client(self) -> redis.RedisCluster:
        """Make a plain client of the whole; answers are bytes."""
        return redis.RedisCluster(host=HOST, port=self.alive()[0].port, socket_timeout=30)

    def alive(self) -> list[EmbeddedRedis]:
        """Servers that run."""
        return [server for server in self.servers if server.running]

    def master_of(self, key: str) -> EmbeddedRedis:
        """The server that has a key."""
        return self.owner(self.slot(key))

    def slot(self, key: str) -> int:
        """Slot of a key."""
        return int(self.ask(self.alive()[0], "CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> EmbeddedRedis:
        """The server that has a slot, as a running one sees it."""
        for first, last, master, *_ in self.ask(self.alive()[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == master[1])
        raise AssertionError(f"nobody has slot {slot}")

    def replica_of(self, server: EmbeddedRedis) -> EmbeddedRedis:
        """The replica of a master."""
        ports = {int(port) for _, port, _ in self.ask(server, "ROLE")[2]}
        return next(other for other in self.servers if other.port in ports)

    def move(
        self, slot: int, to: EmbeddedRedis, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Move a slot with its keys to another master, as `redis-cli --cluster reshard` does.

        Args:
            slot: the slot.
            to: the master that gets it.
            meanwhile: called when its keys are on both.
        """
        source = self.owner(slot)
        self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(to))
        meanwhile()
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.ask(source, "MIGRATE", HOST, to.port, "", 0, 5000, "KEYS", *keys)
        for server in (to, source):
            self.ask(server, "CLUSTER", "SETSLOT", slot, "NODE", self.name(to))

    def masters(self) -> list[EmbeddedRedis]:
        """The servers that are masters and have slots, as a running one sees it."""
        ranges = self.ask(self.alive()[0], "CLUSTER", "SLOTS")
        ports = {int(master[1]) for _, _, master, *_ in ranges}
        return [server for server in self.servers if server.port in ports]

    def is_whole(self) -> bool:
        """Whether all is as it was at the beginning, whoever is master now."""
        if not self.is_sound():
            return False
        masters = self.masters()
        roles = [self.ask(server, "ROLE") for server in masters]
        return len(masters) == MASTERS and all(
            role[0] == b"master" and len(role[2]) == 1 for role in roles
        )

    def is_sound(self) -> bool:
        """Whether every running server serves all slots."""
        return all(
            b"cluster_state:ok" in self.ask(server, "CLUSTER", "INFO") for server in self.alive()
        )

    def _join(self) -> None:
        masters = self.servers[:MASTERS]
        for number, server in enumerate(masters):
            first, last = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1
            self.ask(server, "CLUSTER", "ADDSLOTSRANGE", first, last)
            self.ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            self.ask(server, "CLUSTER", "MEET", HOST, self.servers[0].port)
        eventually(self._all_met, "all nodes know each other", seconds=20)
        for master, server in zip(masters, self.servers[MASTERS:], strict=False):
            self.ask(server, "CLUSTER", "REPLICATE", self.name(master))
        eventually(self.is_sound, "a sound cluster", seconds=20)
        eventually(self._all_follow, "replicas follow", seconds=20)

    def _all_met(self) -> bool:
        known = f"cluster_known_nodes:{len(self.servers)}".encode()
        return all(known in self.ask(server, "CLUSTER", "INFO") for server in self.servers)

    def _all_follow(self) -> bool:
        roles = [self.ask(server, "ROLE") for server in self.servers[MASTERS:]]
        return all(role[3] == b"connected" for role in roles)
