"""Nodes that are given one command together, as callers hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

from corex.effects import Plan
from corex.fleet.launch import Known, RunOptions, begin, make_order
from corex.fleet.run import AsyncFleetRun, FleetRun, new_holder
from corex.fleet.targeting import Selection, choose
from corex.options import (
    CommandOptions,
    SystemOptions,
    bash_command,
    make_command,
    system_command,
)
from corex_shared.models import Command

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.core import Core
    from corex.sync import Client


class FleetCommandOptions(CommandOptions, RunOptions, total=False):
    """Options of a command on many nodes: those of the command, and those of the run.

    `id` is the ID of the run; those of its jobs are made of it.
    """


class FleetSystemOptions(SystemOptions, RunOptions, total=False):
    """Options of a program on many nodes."""


_RUN = frozenset(RunOptions.__annotations__)


def _split(options: Mapping[str, Any]) -> tuple[RunOptions, dict[str, Any]]:
    """Part the options of the run from those of the command."""
    run = {name: value for name, value in options.items() if name in _RUN}
    return cast("RunOptions", run), {
        name: value for name, value in options.items() if name not in _RUN
    }


def _of_system(
    name: str, args: Sequence[str] | None, options: Mapping[str, Any]
) -> tuple[Command, RunOptions]:
    run, rest = _split(options)
    return system_command(name, args, **cast("SystemOptions", rest)), run


def _of_bash(
    script: str, stdin: str | bytes | None, options: Mapping[str, Any]
) -> tuple[Command, RunOptions]:
    run, rest = _split(options)
    return bash_command(script, stdin, make_options(rest)), run


def _of_command(
    command: str, arguments: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> tuple[Command, RunOptions]:
    run, rest = _split(options)
    return make_command(command, arguments, make_options(rest)), run


def make_options(options: Mapping[str, Any]) -> CommandOptions:
    """Take options for those of a command; their names are checked where they are used."""
    return cast("CommandOptions", dict(options))


class _AnyFleet:
    """What `Fleet` and `AsyncFleet` have in common."""

    __slots__ = ("_selection",)

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def _begin(self, core: Core, command: Command, options: RunOptions, holder: str) -> Plan[Known]:
        return begin(core, self._selection, make_order(command, options), holder)

    def __repr__(self) -> str:
        narrowed = [f"{label}={value}" for label, value in self._selection.labels.items()]
        narrowed += [f"group {group}" for group in self._selection.groups]
        parts = ",".join(self._selection.parts)
        return f"<{type(self).__name__} {' '.join([parts, *narrowed])}>"


class Fleet(_AnyFleet):
    """Nodes of a `Client` that are given one command together; which these are is found then.

    Options of a run (`batch`, `canary`, `max_failures`, `timeout`) are described at
    `corex.fleet.launch.RunOptions`, those of commands at `corex.options.CommandOptions`.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client, selection: Selection) -> None:
        super().__init__(selection)
        self._client = client

    def nodes(self) -> tuple[str, ...]:
        """Find the nodes that a run would be for now, in target order.

        Raises:
            NoSuchNodeError: a target names nothing, or a node that was never seen.
            StoreError: Redis cannot be reached.
        """
        chosen = self._client.perform(choose(self._client.core, self._selection))
        return tuple(target.name for target in chosen)

    def system(
        self, name: str, args: Sequence[str] | None = None, **options: Unpack[FleetSystemOptions]
    ) -> FleetRun:
        """Run a program on each node; returns as soon as the first ones are started.

        Args:
            name: the program, looked up in the job's PATH.
            args: its arguments.
            **options: of the run, the command and the process.

        Raises:
            NoSuchNodeError: a target names nothing, or a node that was never seen.
            ConfigError: an option of the run is wrong; the error names it.
            DecodeError: an option of the command is wrong; the error names it.
            StoreError: Redis cannot be reached; says whether the run may have begun.
        """
        return self._start(*_of_system(name, args, options))

    def bash(
        self,
        script: str,
        *,
        stdin: str | bytes | None = None,
        **options: Unpack[FleetCommandOptions],
    ) -> FleetRun:
        """Run a shell script on each node. See `system`."""
        return self._start(*_of_bash(script, stdin, options))

    def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[FleetCommandOptions],
    ) -> FleetRun:
        """Run any command on each node. See `system`.

        Args:
            command: its name.
            arguments: its arguments.
            **options: of the run and the command.
        """
        return self._start(*_of_command(command, arguments, options))

    def run(self, command: Command, **options: Unpack[RunOptions]) -> FleetRun:
        """Run a command on each node; its ID, if it has one, is the run's. See `system`.

        Raises:
            ConflictError: there is a run of that ID.
        """
        return self._start(command, options)

    def _start(self, command: Command, options: RunOptions) -> FleetRun:
        core = self._client.core
        holder = new_holder(core)
        known = self._client.perform(self._begin(core, command, options, holder))
        return FleetRun(self._client, known, holder)


class AsyncFleet(_AnyFleet):
    """Nodes of an `AsyncClient` that are given one command together: `Fleet` with coroutines."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncClient, selection: Selection) -> None:
        super().__init__(selection)
        self._client = client

    async def nodes(self) -> tuple[str, ...]:
        """Find the nodes that a run would be for now, in target order. See `Fleet.nodes`.

        Raises:
            NoSuchNodeError: a target names nothing, or a node that was never seen.
        """
        chosen = await self._client.perform(choose(self._client.core, self._selection))
        return tuple(target.name for target in chosen)

    async def system(
        self, name: str, args: Sequence[str] | None = None, **options: Unpack[FleetSystemOptions]
    ) -> AsyncFleetRun:
        """Run a program on each node. See `Fleet.system`."""
        return await self._start(*_of_system(name, args, options))

    async def bash(
        self,
        script: str,
        *,
        stdin: str | bytes | None = None,
        **options: Unpack[FleetCommandOptions],
    ) -> AsyncFleetRun:
        """Run a shell script on each node. See `Fleet.system`."""
        return await self._start(*_of_bash(script, stdin, options))

    async def submit(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[FleetCommandOptions],
    ) -> AsyncFleetRun:
        """Run any command on each node. See `Fleet.submit`."""
        return await self._start(*_of_command(command, arguments, options))

    async def run(self, command: Command, **options: Unpack[RunOptions]) -> AsyncFleetRun:
        """Run a command on each node; its ID, if it has one, is the run's. See `Fleet.run`.

        Raises:
            ConflictError: there is a run of that ID.
        """
        return await self._start(command, options)

    async def _start(self, command: Command, options: RunOptions) -> AsyncFleetRun:
        core = self._client.core
        holder = new_holder(core)
        known = await self._client.perform(self._begin(core, command, options, holder))
        return AsyncFleetRun(self._client, known, holder)
