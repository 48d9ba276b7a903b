"""The client for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from corex.core import DOCTOR_TIMEOUT, STREAM_TIMEOUT, WAIT_TIMEOUT
from corex.effects import Plan
from corex.events import Event, follow_events
from corex.gather import as_completed
from corex.group import AsyncGroup
from corex.job import AsyncJob
from corex.node import AsyncNode
from corex.nodelogs import follow_nodes
from corex.nodes import forget_node, list_nodes
from corex.profiles.choice import find_place_of_library
from corex.settings import make_core
from corex.submit import prepare, send
from corex.ticket import Ticket
from corex.transport.asynchronous import AsyncTransport
from corex_shared.connection import safe_url
from corex_shared.identifiers import check_id
from corex_shared.models import Command, JobResult, Message, NodeInfo

if TYPE_CHECKING:
    from corex.doctor.findings import Diagnosis
    from corex.fleet.fleet import AsyncFleet
    from corex.fleet.run import AsyncFleetRun

T = TypeVar("T")


class AsyncClient:
    """`Client` with coroutines. It belongs to one event loop.

    Use it in an `async with` statement, or call `close`.

    Attributes:
        core: what its operations share; for code that runs plans of its own.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        profile: str | None = None,
        namespace: str | None = None,
        encoding: Literal["msgpack", "json"] = "msgpack",
        name: str | None = None,
    ) -> None:
        """Make a client.

        Args:
            url: where Redis is; else the profile's, else `COREX_URL`, else redis://127.0.0.1:6379/0.
            profile: one of the user's, in `~/.config/corex/config.toml`; else `COREX_PROFILE` if
                nothing else says where Redis is. Its password may be had of a program.
            namespace: the fleet's; else the profile's, else `COREX_NAMESPACE`, else "corex".
            encoding: how commands are written; a job is answered in its command's encoding.
            name: begins the client's ID, by which events tell who sent a command.

        Raises:
            ConfigError: one of them cannot be used.
        """
        place = find_place_of_library(url, namespace, profile)
        self.core = make_core(place.namespace, encoding, name)
        self._transport = AsyncTransport(place.url, self.core)

    def __repr__(self) -> str:
        url = safe_url(self._transport.endpoint.url)
        return f"<corex.AsyncClient {url} namespace={self.core.keys.namespace}>"

    @property
    def id(self) -> str:
        """The client's ID: where its results are announced."""
        return self.core.client_id

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._transport.closed

    def node(self, node: str) -> AsyncNode:
        """Take a node in hand; whether it exists is not asked.

        Raises:
            InvalidIdError: no node can have that ID.
        """
        return AsyncNode(self, node)

    def group(self, group: str) -> AsyncGroup:
        """Take a group of nodes in hand; whether it has any is not asked.

        Raises:
            InvalidIdError: no group can have that name.
        """
        return AsyncGroup(self, group)

    def fleet(
        self,
        *targets: str,
        labels: Mapping[str, str] | None = None,
        groups: str | Iterable[str] = (),
    ) -> AsyncFleet:
        """Take many nodes in hand, to give them one command together; nothing is asked yet.

        Args:
            *targets: node IDs, globs (`web-*`), `label=value`, or `@group` for any one node of a
                group; several in one string with commas between them. All nodes that are known
                count, also those that are away.
            labels: that each node must have; nodes that are away have none.
            groups: of which each node must be in one. Without targets all that match.

        Raises:
            ConfigError: it names nothing, or what makes no sense together.
            InvalidIdError: a target is nothing that a node or a group could be called.
        """
        from corex.fleet.fleet import AsyncFleet
        from corex.fleet.targeting import make_selection

        return AsyncFleet(self, make_selection(targets, labels, groups))

    async def run(self, run: str) -> AsyncFleetRun:
        """Take a run in hand by its ID, whoever has begun it, to wait for it or to cancel it.

        Raises:
            NoSuchRunError: there is none, or it ended more than an hour ago.
            InvalidIdError: no run can have that ID.
            DecodeError: what is there is no record of a run.
            StoreError: Redis cannot be reached, or refused.
        """
        from corex.fleet.launch import pick_up
        from corex.fleet.run import AsyncFleetRun

        return AsyncFleetRun(self, await self.perform(pick_up(self.core, run)))

    async def forget_node(self, node: str) -> None:
        """Take a node that is gone for good out of the list of nodes.

        Raises:
            NodeAliveError: it is there.
            NoSuchNodeError: it was never seen, or is forgotten already.
            StoreError: Redis cannot be reached, or refused.
        """
        await self.perform(forget_node(self.core, node))

    async def nodes(self) -> list[NodeInfo]:
        """Read what is known of every node that was ever seen, by ID.

        Raises:
            StoreError: Redis cannot be reached.
        """
        return await self.perform(list_nodes(self.core))

    def job(self, job: str) -> AsyncJob:
        """Take any job in hand by its ID, whoever submitted it.

        Raises:
            InvalidIdError: no job can have that ID.
        """
        return AsyncJob(self, Ticket(check_id("job", job)))

    async def submit(self, target: str, command: Command, *, control: bool = False) -> AsyncJob:
        """Push one command; returns as soon as it is pushed. See `Client.submit`.

        Raises:
            DecodeError: a field of the command is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        ticket = prepare(self.core, target, command, control=control)
        (sent,) = await self.perform(send(self.core, [ticket]))
        return AsyncJob(self, sent, fresh=True)

    async def submit_many(self, commands: Iterable[tuple[str, Command]]) -> list[AsyncJob]:
        """Push many commands in few round trips, those of one target in their order.

        Args:
            commands: pairs of node ID, or `@` and group, and command.

        Raises:
            DecodeError: a field of a command is wrong; nothing was pushed.
            StoreError: Redis cannot be reached; the error says how many were pushed.
        """
        tickets = [prepare(self.core, target, command) for target, command in commands]
        sent = await self.perform(send(self.core, tickets))
        return [AsyncJob(self, ticket, fresh=True) for ticket in sent]

    async def as_completed(
        self, jobs: Iterable[AsyncJob], timeout: float = WAIT_TIMEOUT
    ) -> AsyncIterator[tuple[AsyncJob, JobResult]]:
        """Give jobs and their results in the order in which they end.

        Args:
            jobs: jobs of this client.
            timeout: seconds for all of them together.

        Raises:
            WaitTimeout: says how many are outstanding.
        """
        waiting: list[AsyncJob] = []
        fresh = True
        for job in jobs:
            if job.known_result is not None:
                yield job, job.known_result
            else:
                fresh = job.take_fresh() and fresh
                waiting.append(job)
        plan = as_completed(self.core, [job.ticket for job in waiting], timeout, fresh=fresh)
        async with contextlib.aclosing(self.iterate(plan)) as items:
            async for index, result in items:
                yield waiting[index], waiting[index].note_result(result)

    def follow_nodes(
        self, glob: str = "*", *, levels: Collection[int] = (), timeout: float = STREAM_TIMEOUT
    ) -> AsyncIterator[Message]:
        """Follow what the jobs of nodes say to operators, as it is said.

        See `Client.follow_nodes`.

        Args:
            glob: over node IDs; several with commas between them.
            levels: of the messages that are wanted; all if empty.
            timeout: seconds.

        Raises:
            WaitTimeout: the time is up; there is no other end.
        """
        return self.iterate(follow_nodes(self.core, glob.split(","), timeout, levels))

    def events(
        self,
        glob: str = "*",
        *,
        kinds: Collection[str] = (),
        job: str | None = None,
        timeout: float = STREAM_TIMEOUT,
    ) -> AsyncIterator[Event]:
        """Follow what happens to nodes and jobs, as it is told. See `Client.events`.

        Args:
            glob: over node IDs; several with commas between them.
            kinds: of the events that are wanted; all if empty.
            job: ID of the job whose events are wanted; of all if None.
            timeout: seconds.

        Raises:
            InvalidIdError: no job can have that ID.
            WaitTimeout: the time is up; there is no other end.
        """
        return self.iterate(follow_events(self.core, glob.split(","), timeout, kinds, job))

    async def doctor(self, timeout: float = DOCTOR_TIMEOUT) -> Diagnosis:
        """Check Redis, clocks, permissions and nodes.

        Args:
            timeout: seconds for the nodes to answer.

        Raises:
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        from corex.doctor.diagnose import diagnose

        return await self.perform(diagnose(self.core, timeout))

    async def perform(self, plan: Plan[T]) -> T:
        """Run a plan; for code with plans of its own."""
        return await self._transport.perform(plan)

    def iterate(self, plan: Plan[None]) -> AsyncGenerator[Any, None]:
        """Run a plan, giving what it emits; for code with plans of its own."""
        return self._transport.iterate(plan)

    async def close(self) -> None:
        """Close all connections. Jobs go on."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
