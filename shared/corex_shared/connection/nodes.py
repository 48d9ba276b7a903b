"""Which nodes of a Cluster there are, and which of them has a slot. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import redis.crc

from corex_shared.connection.urls import Address
from corex_shared.scripts import Call

SLOTS = 16384
_SCRIPTS = frozenset({"EVALSHA", "EVAL"})
_KEYLESS = frozenset({"ASKING", "INFO", "PING", "ROLE", "SCRIPT", "TIME"})


class KnownNodes:
    """Addresses of nodes, for those who need any. Used from several threads.

    The seeds of the URL, and whatever was seen of the Cluster last.
    """

    def __init__(self, seeds: Sequence[Address]) -> None:
        self._seeds = tuple(seeds)
        self._seen: tuple[Address, ...] = ()

    def saw(self, nodes: Sequence[Address]) -> None:
        """Take note of the nodes that there are."""
        self._seen = tuple(nodes)

    def shuffled(self) -> list[Address]:
        """All of them in any order, those that were seen first."""
        seen = self._seen
        others = [seed for seed in self._seeds if seed not in seen]
        return [*random.sample(seen, len(seen)), *random.sample(others, len(others))]


class SlotMap:
    """Which master has a slot, as one node said it and as others have corrected it since.

    Attributes:
        masters: all of them.
        nodes: the masters and their replicas.
    """

    def __init__(self, answer: Any, asked: Address) -> None:
        """Read an answer to CLUSTER SLOTS (redis.io/commands/cluster-slots).

        Args:
            answer: as it is on the wire.
            asked: who gave it; a node that does not know its own name is meant by an empty one.
        """
        self._owners: list[Address | None] = [None] * SLOTS
        nodes: dict[Address, None] = {}
        masters: dict[Address, None] = {}
        for first, last, *places in answer:
            found = [_address(place, asked) for place in places]
            nodes.update(dict.fromkeys(found))
            masters[found[0]] = None
            self._owners[first : last + 1] = [found[0]] * (last + 1 - first)
        self.masters: list[Address] = list(masters)
        self.nodes: list[Address] = list(nodes)

    def owner(self, slot: int | None) -> Address | None:
        """The master that has a slot; any master for None; None if no master is known to."""
        if slot is None:
            return random.choice(self.masters) if self.masters else None
        return self._owners[slot]

    def move(self, slot: int, owner: Address) -> None:
        """Take note of where a slot has gone."""
        self._owners[slot] = owner
        if owner not in self.masters:
            self.masters.append(owner)


def _address(place: Sequence[Any], asked: Address) -> Address:
    host, port = place[0], int(place[1])
    name = host.decode() if isinstance(host, bytes) else host
    # None, "" and "?": the node does not know, but it is where the answer came from.
    return (name if name and name != "?" else asked[0], port)


def slot_of_key(key: str | bytes) -> int:
    """Slot of a key, by its hash tag."""
    return redis.crc.key_slot(key.encode() if isinstance(key, str) else key)


def slot_of(call: Call) -> int | None:
    """Slot of a command's first key, or of a channel; None for a command without either."""
    name = call[0]
    if name in _SCRIPTS:
        return slot_of_key(str(call[3])) if call[2] else None
    if name in _KEYLESS or len(call) < 2:
        return None
    key = call[1]
    return slot_of_key(key if isinstance(key, bytes) else str(key))
