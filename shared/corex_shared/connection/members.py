"""The clients of a Cluster's masters, by address. Pure bookkeeping: who calls it closes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from corex_shared.connection.urls import Address

C = TypeVar("C")


@dataclass(eq=False, slots=True)
class Member(Generic[C]):
    """A client of one node.

    Attributes:
        client: the client.
        users: how many use it now.
        given_up: whether its node is no master any more: the last who uses it closes it.
    """

    client: C
    users: int = 0
    given_up: bool = False


class Members(Generic[C]):
    """Clients, each made when it is first wanted. Used from several threads.

    A client whose node is no master any more is closed when nobody uses it: what is under way
    there has an answer yet, or its own error.
    """

    def __init__(self, make: Callable[[Address], C]) -> None:
        """Begin with none.

        Args:
            make: makes a client of one node, and opens nothing.
        """
        self._make = make
        self._lock = threading.Lock()
        self._members: dict[Address, Member[C]] = {}
        self._given_up: set[Member[C]] = set()

    def borrow(self, address: Address) -> Member[C]:
        """Find or make the client of a node; to be given back."""
        with self._lock:
            member = self._members.get(address)
            if member is None:
                member = self._members[address] = Member(self._make(address))
            member.users += 1
            return member

    def give_back(self, member: Member[C]) -> list[C]:
        """Take a client back; return those that are to be closed now."""
        with self._lock:
            member.users -= 1
            if not member.given_up or member.users:
                return []
            self._given_up.discard(member)
            return [member.client]

    def keep(self, addresses: Collection[Address]) -> list[C]:
        """Give up the clients of all other nodes; return those that are to be closed now."""
        with self._lock:
            gone = [address for address in self._members if address not in addresses]
            members = [self._members.pop(address) for address in gone]
            for member in members:
                member.given_up = True
            self._given_up.update(member for member in members if member.users)
            return [member.client for member in members if not member.users]

    def all(self) -> list[C]:
        """List all clients that may have connections."""
        with self._lock:
            return [member.client for member in [*self._members.values(), *self._given_up]]
