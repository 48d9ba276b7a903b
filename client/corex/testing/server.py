"""A Redis in memory, and the ways to it."""

from __future__ import annotations

import importlib.util
import itertools

from corex_shared.connection import memory
from corex_shared.errors import ConfigError

_NUMBERS = itertools.count(1)
_VERSION = (7, 0)


class Server:
    """One server, from its making to `close`.

    Attributes:
        url: by which clients of this process reach it.
        inner_url: by which nodes reach it, also while it is away for clients: what they write
            then is there when it is back.
    """

    def __init__(self) -> None:
        """Make an empty server.

        Raises:
            ConfigError: what it is made of is not installed.
        """
        for name in ("fakeredis", "lupa"):
            if importlib.util.find_spec(name) is None:
                hint = "pip install 'corex-runner[testing]'"
                reason = f"{name} is not installed; install what it needs with: {hint}"
                raise ConfigError("corex.testing", "", reason)
        from fakeredis import FakeServer

        from corex.testing.connections import AsyncMemoryConnection, Gate, MemoryConnection

        server = FakeServer(version=_VERSION)
        self._name = f"corex-testing-{next(_NUMBERS)}"
        self._gates = {self._name: Gate(server), f"{self._name}-inner": Gate(server)}
        for name, gate in self._gates.items():
            # A check of a connection's health is asked for whenever that is used, and is lost among
            # what a subscription hears.
            settings = {"server": gate, "health_check_interval": 0}
            memory.register(
                name, memory.MemoryServer(MemoryConnection, AsyncMemoryConnection, settings)
            )
        self.url, self.inner_url = (f"memory://{name}" for name in self._gates)

    @property
    def away(self) -> bool:
        """Whether no client reaches it, as if the network were cut; what it holds stays."""
        return not self._gates[self._name].connected

    @away.setter
    def away(self, away: bool) -> None:
        self._gates[self._name].connected = not away

    def close(self) -> None:
        """Be gone for good."""
        for name, gate in self._gates.items():
            gate.connected = False
            memory.unregister(name)
