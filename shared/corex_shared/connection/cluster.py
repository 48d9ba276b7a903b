"""Clients of a Cluster.

redis-py's own are not used: in a pipeline they repeat, one by one, every write whose answer was
lost, and they refuse EVALSHA there in some releases. Here a batch goes to each master in one
pipeline of its own client, and what was not done there, and only that, is sent on (`routing`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import redis
import redis.asyncio

from corex_shared.connection.members import Members
from corex_shared.connection.nodes import KnownNodes, SlotMap
from corex_shared.connection.routing import ROUNDS, Batch, Group, hints_of
from corex_shared.connection.urls import Address
from corex_shared.scripts import Step, all_scripts

_SHORTEST_DOUBT = 0.25
"""Seconds for which a map of the slots is believed, whatever speaks against it."""

MakeClient = Callable[[Address], redis.Redis]
MakeAsyncClient = Callable[[Address], redis.asyncio.Redis]


class Chart:
    """The map of the slots that all clients of a Cluster go by, and whether it is to be believed.

    What one of them finds out, the others need not: each would wait for a master that hangs. Used
    from several threads.
    """

    def __init__(self, nodes: KnownNodes) -> None:
        self.nodes = nodes
        self.slots: SlotMap | None = None
        self._doubtful = False
        self._read_at = 0.0

    @property
    def trusted(self) -> SlotMap | None:
        """The map, None if it is to be read (anew)."""
        if self._doubtful and time.monotonic() - self._read_at >= _SHORTEST_DOUBT:
            return None
        return self.slots

    def doubt(self) -> None:
        """Have the map read anew before the next batch."""
        self._doubtful = True

    def read(self, answer: Any, asked: Address) -> SlotMap:
        """Take an answer to CLUSTER SLOTS."""
        self.slots = SlotMap(answer, asked)
        self.nodes.saw(self.slots.nodes)
        self._doubtful = False
        self._read_at = time.monotonic()
        return self.slots


class ClusterClient:
    """A blocking client, for any number of threads."""

    def __init__(self, chart: Chart, make: MakeClient, make_probe: MakeClient) -> None:
        """Nothing is opened yet.

        Args:
            chart: what is known of the Cluster.
            make: makes a client of one node.
            make_probe: makes one that waits for a short time only.
        """
        self._members = Members(make)
        self._make_probe = make_probe
        self._chart = chart
        self._kept: SlotMap | None = None  # the map whose masters the clients are of
        self._lock = threading.Lock()

    def run(self, steps: Sequence[Step]) -> list[Any]:
        """Run steps, each master's in one round trip.

        Returns:
            The answers in order; errors of servers among them are values.

        Raises:
            RedisError: a master, or the whole Cluster, cannot be reached; some or all may have
                been done.
        """
        answers = self._run(steps)
        if hints := hints_of(steps, answers):
            with suppress(redis.RedisError, OSError):
                self._run(hints)
        return answers

    def _run(self, steps: Sequence[Step]) -> list[Any]:
        batch = Batch(steps)
        for _ in range(ROUNDS):
            slots = self._slots()
            try:
                self._round(batch, slots)
            except (redis.RedisError, OSError):
                self._chart.doubt()
                raise
            if not batch.is_open:
                break
        return batch.answers()

    def _round(self, batch: Batch, slots: SlotMap) -> None:
        failure: Exception | None = None
        for group in batch.groups(slots):
            # One that fails must not keep the others from what is theirs: leases are renewed so.
            try:
                self._send(group)
            except (redis.RedisError, OSError) as error:
                failure = failure or error
                continue
            verdict = batch.heard(group, slots)
            if verdict.doubtful:
                self._chart.doubt()
            if verdict.lacks_scripts:
                self._load(group.address)
        if failure is not None:
            raise failure

    def load_scripts(self) -> None:
        """Make all scripts known to every master."""
        for address in self._slots().masters:
            self._load(address)

    def infos(self) -> list[dict[str, Any]]:
        """Read INFO of every master."""
        return [self._info(address) for address in self._slots().masters]

    def close(self) -> None:
        """Close all connections."""
        for client in self._members.all():
            client.close()

    def _send(self, group: Group) -> None:
        with self._client(group.address) as client:
            pipeline = client.pipeline(transaction=False)
            for call in group.calls():
                pipeline.execute_command(*call)  # type: ignore[no-untyped-call]
            group.take(pipeline.execute(raise_on_error=False))

    def _load(self, address: Address) -> None:
        with self._client(address) as client:
            for script in all_scripts():
                client.script_load(script.text)

    def _info(self, address: Address) -> dict[str, Any]:
        with self._client(address) as client:
            return client.info()

    @contextmanager
    def _client(self, address: Address) -> Iterator[redis.Redis]:
        member = self._members.borrow(address)
        try:
            yield member.client
        finally:
            _close(self._members.give_back(member))

    def _slots(self) -> SlotMap:
        slots = self._chart.trusted
        if slots is None:
            with self._lock:
                slots = self._chart.trusted or self._read_slots()
        if slots is not self._kept:
            self._kept = slots
            _close(self._members.keep(slots.masters))
        return slots

    def _read_slots(self) -> SlotMap:
        error: Exception = redis.ConnectionError("no node is known")
        for address in self._chart.nodes.shuffled():
            probe = self._make_probe(address)
            try:
                (answer,) = _asking_slots(probe).execute()
                return self._chart.read(answer, address)
            except (redis.RedisError, OSError) as failure:
                error = failure
            finally:
                probe.close()
        raise error


class AsyncClusterClient:
    """An asyncio client, of one event loop."""

    def __init__(self, chart: Chart, make: MakeAsyncClient, make_probe: MakeAsyncClient) -> None:
        """Nothing is opened yet; arguments as for `ClusterClient`."""
        self._members = Members(make)
        self._make_probe = make_probe
        self._chart = chart
        self._kept: SlotMap | None = None  # the map whose masters the clients are of
        self._closing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def run(self, steps: Sequence[Step]) -> list[Any]:
        """Run steps, all masters at once and each in one round trip; as `ClusterClient.run`."""
        answers = await self._run(steps)
        if hints := hints_of(steps, answers):
            with suppress(redis.RedisError, OSError):
                await self._run(hints)
        return answers

    async def _run(self, steps: Sequence[Step]) -> list[Any]:
        batch = Batch(steps)
        for _ in range(ROUNDS):
            slots = await self._slots()
            try:
                await self._round(batch, slots)
            except (redis.RedisError, OSError):
                self._chart.doubt()
                raise
            if not batch.is_open:
                break
        return batch.answers()

    async def _round(self, batch: Batch, slots: SlotMap) -> None:
        groups = batch.groups(slots)
        # One that fails must not cut the others off: their answers would be lost.
        ends = await asyncio.gather(*map(self._send, groups), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        for group in groups:
            verdict = batch.heard(group, slots)
            if verdict.doubtful:
                self._chart.doubt()
            if verdict.lacks_scripts:
                await self._load(group.address)

    async def load_scripts(self) -> None:
        """Make all scripts known to every master."""
        for address in (await self._slots()).masters:
            await self._load(address)

    async def infos(self) -> list[dict[str, Any]]:
        """Read INFO of every master."""
        return [await self._info(address) for address in (await self._slots()).masters]

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._members.all():
            await client.aclose()
        await asyncio.gather(*self._closing)

    async def _send(self, group: Group) -> None:
        async with self._client(group.address) as client:
            pipeline = client.pipeline(transaction=False)
            for call in group.calls():
                pipeline.execute_command(*call)
            group.take(await pipeline.execute(raise_on_error=False))

    async def _load(self, address: Address) -> None:
        async with self._client(address) as client:
            for script in all_scripts():
                await client.script_load(script.text)

    async def _info(self, address: Address) -> dict[str, Any]:
        async with self._client(address) as client:
            return await client.info()

    @asynccontextmanager
    async def _client(self, address: Address) -> AsyncIterator[redis.asyncio.Redis]:
        member = self._members.borrow(address)
        try:
            yield member.client
        finally:
            self._close(self._members.give_back(member))

    async def _slots(self) -> SlotMap:
        slots = self._chart.trusted
        if slots is None:
            async with self._lock:
                slots = self._chart.trusted or await self._read_slots()
        if slots is not self._kept:
            self._kept = slots
            self._close(self._members.keep(slots.masters))
        return slots

    def _close(self, clients: Sequence[redis.asyncio.Redis]) -> None:
        """Close clients beside what goes on: a node that hangs lets TLS wait for its farewell."""
        for client in clients:
            task = asyncio.create_task(_aclose(client), name="closing")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _read_slots(self) -> SlotMap:
        error: Exception = redis.ConnectionError("no node is known")
        for address in self._chart.nodes.shuffled():
            probe = self._make_probe(address)
            try:
                (answer,) = await _asking_slots(probe).execute()
                return self._chart.read(answer, address)
            except (redis.RedisError, OSError) as failure:
                error = failure
            finally:
                await probe.aclose()
        raise error


def _close(clients: Sequence[redis.Redis]) -> None:
    """Close clients of nodes that may be gone."""
    for client in clients:
        with suppress(redis.RedisError, OSError):
            client.close()


async def _aclose(client: redis.asyncio.Redis) -> None:
    """Close a client of a node that may be gone."""
    with suppress(redis.RedisError, OSError):
        await client.aclose()


def _asking_slots(client: Any) -> Any:
    """Ask for the map of the slots, as two words: redis-py would read the answer to one itself."""
    return client.pipeline(transaction=False).execute_command("CLUSTER", "SLOTS")
