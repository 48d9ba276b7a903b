"""A node as callers hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from corex.addressee import Addressee, AsyncAddressee
from corex.core import WAIT_TIMEOUT
from corex.nodes import read_node
from corex.options import CommandOptions, make_command
from corex.results import answer
from corex_shared.identifiers import check_id
from corex_shared.models import NodeInfo

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.job import AsyncJob, Job
    from corex.namespaces.files import AsyncFiles, Files
    from corex.namespaces.info import AsyncInfo, Info
    from corex.namespaces.jobs import AsyncJobs, Jobs
    from corex.namespaces.processes import AsyncProcesses, Processes
    from corex.namespaces.queues import AsyncQueues, Queues
    from corex.namespaces.stats import AsyncStats, Stats
    from corex.sync import Client

PING_TIMEOUT = 10.0


class Node(Addressee):
    """One node of a `Client`; made without asking whether it exists.

    What it has is grouped: `jobs`, `queues`, `processes`, `fs`, `info`, `stats`.
    """

    __slots__ = ("id",)

    def __init__(self, client: Client, node: str) -> None:
        super().__init__(client, check_id("node", node))
        self.id = node

    def ping(self, timeout: float = PING_TIMEOUT) -> Any:
        """Ask the node for a sign of life, past all work that it has.

        Returns:
            "PONG Version: …"

        Raises:
            WaitTimeout: it did not answer in time.
        """
        return self.call("core.ping", timeout=timeout, control=True)

    def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        control: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Job:
        """Push any command; returns at once.

        Args:
            command: its name.
            arguments: its arguments.
            control: push it to the list of commands that wait for nothing: for short ones that
                must not wait behind a backlog.
            **options: see `corex.options.CommandOptions`.

        Raises:
            DecodeError: a field is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        made = make_command(command, arguments, options)
        return self._client.submit(self.id, made, control=control)

    def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
        control: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Any:
        """Push any command, wait for it, and read what it answers.

        Returns:
            The decoded answer; None when it has none.

        Raises:
            JobFailed: it did not succeed.
            WaitTimeout: it did not end in time; it may still.
        """
        job = self.submit(command, arguments, control=control, **options)
        return answer(job.wait(timeout))

    def presence(self) -> NodeInfo:
        """Read what the node's heartbeat says.

        Raises:
            NoSuchNodeError: it was never seen.
        """
        return self._client.perform(read_node(self._client.core, self.id))

    @property
    def jobs(self) -> Jobs:
        """The jobs that it has not finished."""
        from corex.namespaces.jobs import Jobs

        return Jobs(self._client, self.id)

    @property
    def queues(self) -> Queues:
        """Its named queues."""
        from corex.namespaces.queues import Queues

        return Queues(self._client, self.id)

    @property
    def processes(self) -> Processes:
        """All processes of its machine."""
        from corex.namespaces.processes import Processes

        return Processes(self._client, self.id)

    @property
    def fs(self) -> Files:
        """Its files."""
        from corex.namespaces.files import Files

        return Files(self._client, self.id)

    @property
    def info(self) -> Info:
        """What its machine is."""
        from corex.namespaces.info import Info

        return Info(self._client, self.id)

    @property
    def stats(self) -> Stats:
        """What it and its jobs were measured at."""
        from corex.namespaces.stats import Stats

        return Stats(self._client, self.id)

    def __repr__(self) -> str:
        return f"<Node {self.id}>"


class AsyncNode(AsyncAddressee):
    """One node of an `AsyncClient`: `Node` with coroutines."""

    __slots__ = ("id",)

    def __init__(self, client: AsyncClient, node: str) -> None:
        super().__init__(client, check_id("node", node))
        self.id = node

    async def ping(self, timeout: float = PING_TIMEOUT) -> Any:
        """Ask the node for a sign of life, past all work that it has. See `Node.ping`.

        Raises:
            WaitTimeout: it did not answer in time.
        """
        return await self.call("core.ping", timeout=timeout, control=True)

    async def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        control: bool = False,
        **options: Unpack[CommandOptions],
    ) -> AsyncJob:
        """Push any command; returns as soon as it is pushed. See `Node.submit`.

        Raises:
            DecodeError: a field is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        made = make_command(command, arguments, options)
        return await self._client.submit(self.id, made, control=control)

    async def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
        control: bool = False,
        **options: Unpack[CommandOptions],
    ) -> Any:
        """Push any command, wait for it, and read what it answers. See `Node.call`.

        Raises:
            JobFailed: it did not succeed.
            WaitTimeout: it did not end in time; it may still.
        """
        job = await self.submit(command, arguments, control=control, **options)
        return answer(await job.wait(timeout))

    async def presence(self) -> NodeInfo:
        """Read what the node's heartbeat says.

        Raises:
            NoSuchNodeError: it was never seen.
        """
        return await self._client.perform(read_node(self._client.core, self.id))

    @property
    def jobs(self) -> AsyncJobs:
        """The jobs that it has not finished."""
        from corex.namespaces.jobs import AsyncJobs

        return AsyncJobs(self._client, self.id)

    @property
    def queues(self) -> AsyncQueues:
        """Its named queues."""
        from corex.namespaces.queues import AsyncQueues

        return AsyncQueues(self._client, self.id)

    @property
    def processes(self) -> AsyncProcesses:
        """All processes of its machine."""
        from corex.namespaces.processes import AsyncProcesses

        return AsyncProcesses(self._client, self.id)

    @property
    def fs(self) -> AsyncFiles:
        """Its files."""
        from corex.namespaces.files import AsyncFiles

        return AsyncFiles(self._client, self.id)

    @property
    def info(self) -> AsyncInfo:
        """What its machine is."""
        from corex.namespaces.info import AsyncInfo

        return AsyncInfo(self._client, self.id)

    @property
    def stats(self) -> AsyncStats:
        """What it and its jobs were measured at."""
        from corex.namespaces.stats import AsyncStats

        return AsyncStats(self._client, self.id)

    def __repr__(self) -> str:
        return f"<AsyncNode {self.id}>"
