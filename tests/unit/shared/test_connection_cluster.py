"""Clients of a Cluster whose masters change, over a topology that is made up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from corex_shared.connection.cluster import AsyncClusterClient, Chart, ClusterClient
from corex_shared.connection.nodes import KnownNodes
from corex_shared.connection.urls import Address
from tests.helpers.eventually import eventually

A, B = ("a", 1), ("b", 2)
HALF = 8192
# Slots of {1}: 9842, {3}: 1584.
TO_BOTH = [("GET", "{3}"), ("GET", "{1}")]


class Topology:
    """Masters, each of which answers "OK", and the clients that were made of them.

    Attributes:
        masters: of the lower and of the upper half of the slots.
        made: addresses of clients that were made.
        closed: those of clients that were closed.
        hold: waited for before B answers.
        may_close: waited for before an asyncio client is closed.
    """

    def __init__(self) -> None:
        self.masters = [A, B]
        self.made: list[Address] = []
        self.closed: list[Address] = []
        self.hold: Callable[[], object] = lambda: None
        self.may_close = asyncio.Event()
        self.chart = Chart(KnownNodes([A, B]))

    def change(self, *masters: Address) -> None:
        """Have others be the masters; whoever looks at the map knows."""
        self.masters = list(masters)
        self.chart.slots = None

    def slots(self) -> list[Any]:
        """The answer to CLUSTER SLOTS."""
        low, high = self.masters[:2]
        return [
            [0, HALF - 1, [low[0].encode(), low[1]]],
            [HALF, 16383, [high[0].encode(), high[1]]],
        ]


class FakePipeline:
    """Answers at once, or when it may."""

    def __init__(self, topology: Topology, *, waits: bool) -> None:
        self._topology = topology
        self._waits = waits
        self._calls: list[tuple[Any, ...]] = []

    def execute_command(self, *call: Any) -> FakePipeline:
        self._calls.append(call)
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        del raise_on_error
        if self._calls == [("CLUSTER", "SLOTS")]:
            return [self._topology.slots()]
        if self._waits:
            self._topology.hold()
        return ["OK"] * len(self._calls)


class FakeClient:
    """A client of one node, which is B if it waits for something."""

    def __init__(self, topology: Topology, address: Address) -> None:
        self._topology = topology
        self._address = address
        topology.made.append(address)

    def pipeline(self, transaction: bool) -> FakePipeline:
        assert not transaction
        return FakePipeline(self._topology, waits=self._address == B)

    def close(self) -> None:
        self._topology.closed.append(self._address)
        if self._address not in self._topology.masters:
            raise redis.ConnectionError("it has gone")


class AsyncPipeline(FakePipeline):
    """The same for asyncio."""

    async def execute(self, raise_on_error: bool = True) -> Any:  # type: ignore[override]
        return super().execute(raise_on_error)


class AsyncFakeClient(FakeClient):
    """The same for asyncio, whose end takes its time."""

    def pipeline(self, transaction: bool) -> FakePipeline:
        assert not transaction
        return AsyncPipeline(self._topology, waits=False)

    async def aclose(self) -> None:
        await self._topology.may_close.wait()
        self.close()


class Probe:
    """A client that only asks for the map."""

    def __init__(self, topology: Topology, pipeline: type[FakePipeline]) -> None:
        self._topology = topology
        self._pipeline = pipeline

    def pipeline(self, transaction: bool) -> FakePipeline:
        assert not transaction
        return self._pipeline(self._topology, waits=False)

    def close(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.fixture
def topology() -> Topology:
    """A and B are the masters."""
    return Topology()


@pytest.fixture
def client(topology: Topology) -> ClusterClient:
    """A blocking client."""
    make: Any = lambda address: FakeClient(topology, address)  # noqa: E731 - of any type
    make_probe: Any = lambda _: Probe(topology, FakePipeline)  # noqa: E731
    return ClusterClient(topology.chart, make, make_probe)


@pytest.fixture
def held(topology: Topology, client: ClusterClient) -> Iterator[Held]:
    """Two threads whose batches B has not answered yet."""
    held = Held()
    topology.hold = held.hold
    threads = [
        threading.Thread(target=lambda: held.answers.append(client.run(TO_BOTH))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert held.here.acquire(timeout=10)
    yield held
    held.go.set()
    for thread in threads:
        thread.join()


class Held:
    """What threads wait for, and what they got."""

    def __init__(self) -> None:
        self.here, self.go = threading.Semaphore(0), threading.Event()
        self.answers: list[Any] = []

    def hold(self) -> None:
        """Wait."""
        self.here.release()
        assert self.go.wait(10)


def test_a_master_that_is_gone_leaves_no_client(topology: Topology, client: ClusterClient) -> None:
    """It is closed with the next batch, and what fails there is nobody's; others keep theirs."""
    for _ in range(2):
        assert client.run(TO_BOTH) == ["OK", "OK"]
    assert (topology.made, topology.closed) == ([A, B], [])
    topology.change(A, ("c", 3))
    assert client.run(TO_BOTH) == ["OK", "OK"]
    assert (topology.made, topology.closed) == ([A, B, ("c", 3)], [B])
    topology.change(A, B)
    assert client.run(TO_BOTH) == ["OK", "OK"]
    assert (topology.made[3:], topology.closed) == ([B], [B, ("c", 3)])


def test_a_client_that_is_in_use_is_closed_by_the_last_who_uses_it(
    topology: Topology, client: ClusterClient, held: Held
) -> None:
    """What was sent to a master before it went is answered, or fails, by itself."""
    topology.change(A, A)
    assert client.run(TO_BOTH) == ["OK", "OK"]
    assert topology.closed == []
    held.go.set()
    eventually(lambda: topology.closed == [B])
    eventually(lambda: held.answers == [["OK", "OK"]] * 2)
    assert topology.closed == [B]


def test_the_end_closes_those_in_use_too(
    topology: Topology, client: ClusterClient, held: Held
) -> None:
    """So that whoever waits for a master that is gone hears of it."""
    topology.change(A, A)
    client.run(TO_BOTH)
    topology.masters.append(B)
    client.close()
    assert sorted(topology.closed) == [A, B]
    held.go.set()


async def test_an_asyncio_client_closes_them_beside_what_goes_on(topology: Topology) -> None:
    """A master that hangs as it is closed holds up no command; the end waits for it."""
    make: Any = lambda address: AsyncFakeClient(topology, address)  # noqa: E731 - of any type
    make_probe: Any = lambda _: Probe(topology, AsyncPipeline)  # noqa: E731
    client = AsyncClusterClient(topology.chart, make, make_probe)
    assert await client.run(TO_BOTH) == ["OK", "OK"]
    topology.change(A, A)
    assert await client.run(TO_BOTH) == ["OK", "OK"]
    assert topology.closed == []
    topology.may_close.set()
    await client.aclose()
    assert sorted(topology.closed) == [A, B]
    assert topology.made == [A, B]
