"""A node as callers hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from corex.core import WAIT_TIMEOUT
from corex.nodes import node_info
from corex.options import (
    CommandOptions,
    SystemOptions,
    bash_command,
    make_command,
    system_command,
)
from corex.results import answer
from corex_shared.identifiers import check_id
from corex_shared.models import Command, NodeInfo

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.job import AsyncJob, Job
    from corex.sync import Client

PING_TIMEOUT = 10.0


class Node:
    """One node of a `Client`; made without asking whether it exists.

    Options of every command (`id`, `queue`, `max_time`, `stream`, `tags` …) are described at
    `corex.options.CommandOptions`, those of a process at `corex.options.ProcessOptions`.
    """

    __slots__ = ("_client", "id")

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self.id = check_id("node", node)

    def ping(self, timeout: float = PING_TIMEOUT) -> Any:
        """Ask the node for a sign of life, past all work that it has.

        Returns:
            "PONG Version: …"

        Raises:
            WaitTimeout: it did not answer in time.
        """
        return self.call("core.ping", timeout=timeout, control=True)

    def system(
        self, name: str, args: Sequence[str] | None = None, **options: Unpack[SystemOptions]
    ) -> Job:
        """Run a program; returns at once.

        Args:
            name: the program, looked up in the job's PATH.
            args: its arguments.
            **options: see `corex.options.SystemOptions`.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return self._client.submit(self.id, system_command(name, args, **options))

    def bash(
        self, script: str, *, stdin: str | bytes | None = None, **options: Unpack[CommandOptions]
    ) -> Job:
        """Run a shell script; returns at once.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return self._client.submit(self.id, bash_command(script, stdin, options))

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

    def submit_many(self, commands: Iterable[Command]) -> list[Job]:
        """Push many commands in few round trips.

        Raises:
            DecodeError: a field is wrong; the error names it, and nothing was pushed.
            StoreError: Redis cannot be reached.
        """
        return self._client.submit_many((self.id, command) for command in commands)

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

    def info(self) -> NodeInfo:
        """Read what the node's heartbeat says.

        Raises:
            NoSuchNodeError: it was never seen.
        """
        return self._client.perform(node_info(self._client.core, self.id))

    def __repr__(self) -> str:
        return f"<Node {self.id}>"


class AsyncNode:
    """One node of an `AsyncClient`: `Node` with coroutines."""

    __slots__ = ("_client", "id")

    def __init__(self, client: AsyncClient, node: str) -> None:
        self._client = client
        self.id = check_id("node", node)

    async def ping(self, timeout: float = PING_TIMEOUT) -> Any:
        """Ask the node for a sign of life, past all work that it has. See `Node.ping`.

        Raises:
            WaitTimeout: it did not answer in time.
        """
        return await self.call("core.ping", timeout=timeout, control=True)

    async def system(
        self, name: str, args: Sequence[str] | None = None, **options: Unpack[SystemOptions]
    ) -> AsyncJob:
        """Run a program; returns as soon as it is pushed. See `Node.system`.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit(self.id, system_command(name, args, **options))

    async def bash(
        self, script: str, *, stdin: str | bytes | None = None, **options: Unpack[CommandOptions]
    ) -> AsyncJob:
        """Run a shell script; returns as soon as it is pushed.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit(self.id, bash_command(script, stdin, options))

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

    async def submit_many(self, commands: Iterable[Command]) -> list[AsyncJob]:
        """Push many commands in few round trips.

        Raises:
            DecodeError: a field is wrong; the error names it, and nothing was pushed.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit_many((self.id, command) for command in commands)

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

    async def info(self) -> NodeInfo:
        """Read what the node's heartbeat says.

        Raises:
            NoSuchNodeError: it was never seen.
        """
        return await self._client.perform(node_info(self._client.core, self.id))

    def __repr__(self) -> str:
        return f"<AsyncNode {self.id}>"
