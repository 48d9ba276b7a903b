"""Whoever commands can be pushed to: a node, or a group of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from corex.core import WAIT_TIMEOUT
from corex.options import (
    CommandOptions,
    SystemOptions,
    bash_command,
    make_command,
    system_command,
)
from corex.results import answer
from corex_shared.models import Command

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.job import AsyncJob, Job
    from corex.sync import Client


class Addressee:
    """What `Node` and `Group` have in common.

    Options of every command (`id`, `queue`, `max_time`, `stream`, `tags` …) are described at
    `corex.options.CommandOptions`, those of a process at `corex.options.ProcessOptions`.
    """

    __slots__ = ("_client", "_target")

    def __init__(self, client: Client, target: str) -> None:
        self._client = client
        self._target = target

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
        return self._client.submit(self._target, system_command(name, args, **options))

    def bash(
        self, script: str, *, stdin: str | bytes | None = None, **options: Unpack[CommandOptions]
    ) -> Job:
        """Run a shell script; returns at once.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return self._client.submit(self._target, bash_command(script, stdin, options))

    def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[CommandOptions],
    ) -> Job:
        """Push any command; returns at once.

        Args:
            command: its name.
            arguments: its arguments.
            **options: see `corex.options.CommandOptions`.

        Raises:
            DecodeError: a field is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        made = make_command(command, arguments, options)
        return self._client.submit(self._target, made)

    def submit_many(self, commands: Iterable[Command]) -> list[Job]:
        """Push many commands in few round trips.

        Raises:
            DecodeError: a field is wrong; the error names it, and nothing was pushed.
            StoreError: Redis cannot be reached.
        """
        return self._client.submit_many((self._target, command) for command in commands)

    def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
        **options: Unpack[CommandOptions],
    ) -> Any:
        """Push any command, wait for it, and read what it answers.

        Returns:
            The decoded answer; None when it has none.

        Raises:
            JobFailed: it did not succeed.
            WaitTimeout: it did not end in time; it may still.
        """
        job = self.submit(command, arguments, **options)
        return answer(job.wait(timeout))


class AsyncAddressee:
    """What `AsyncNode` and `AsyncGroup` have in common: `Addressee` with coroutines."""

    __slots__ = ("_client", "_target")

    def __init__(self, client: AsyncClient, target: str) -> None:
        self._client = client
        self._target = target

    async def system(
        self, name: str, args: Sequence[str] | None = None, **options: Unpack[SystemOptions]
    ) -> AsyncJob:
        """Run a program; returns as soon as it is pushed. See `Addressee.system`.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit(self._target, system_command(name, args, **options))

    async def bash(
        self, script: str, *, stdin: str | bytes | None = None, **options: Unpack[CommandOptions]
    ) -> AsyncJob:
        """Run a shell script; returns as soon as it is pushed.

        Raises:
            DecodeError: an option is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit(self._target, bash_command(script, stdin, options))

    async def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[CommandOptions],
    ) -> AsyncJob:
        """Push any command; returns as soon as it is pushed. See `Addressee.submit`.

        Raises:
            DecodeError: a field is wrong; the error names it.
            StoreError: Redis cannot be reached.
        """
        made = make_command(command, arguments, options)
        return await self._client.submit(self._target, made)

    async def submit_many(self, commands: Iterable[Command]) -> list[AsyncJob]:
        """Push many commands in few round trips.

        Raises:
            DecodeError: a field is wrong; the error names it, and nothing was pushed.
            StoreError: Redis cannot be reached.
        """
        return await self._client.submit_many((self._target, command) for command in commands)

    async def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
        **options: Unpack[CommandOptions],
    ) -> Any:
        """Push any command, wait for it, and read what it answers. See `Addressee.call`.

        Raises:
            JobFailed: it did not succeed.
            WaitTimeout: it did not end in time; it may still.
        """
        job = await self.submit(command, arguments, **options)
        return answer(await job.wait(timeout))
