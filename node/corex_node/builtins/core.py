"""`core.ping`, `core.system`, `bash`, `core.commands`."""

from __future__ import annotations

from typing import Any

import msgspec

from corex_node.manager.context import Context
from corex_node.manager.registry import NoArguments, Program, Registry
from corex_node.process.program import ProgramSpec
from corex_shared.errors import BadRequestError
from corex_shared.version import __version__


class SystemArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `core.system`.

    Attributes:
        name: program, looked up in the PATH of its own environment.
        args: its arguments.
        dir: working directory.
        env: added to the agent's environment, or in its place with `clear_env`.
        clear_env: see `env`.
        stdin: text, or bytes in MessagePack.
    """

    name: str
    args: list[str] | None = None
    dir: str | None = None
    env: dict[str, str] | None = None
    clear_env: bool | None = None
    stdin: Any = None


class BashArguments(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of `bash`: a script for `sh`, and what it reads."""

    script: str
    stdin: Any = None


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("core.ping", inline=True, repeatable=True)(ping)
    registry.command("core.commands", inline=True, repeatable=True)(commands)
    registry.program("core.system", SystemArguments)(system)
    registry.program("bash", BashArguments)(bash)


def ping(_: NoArguments) -> str:
    """Answer that the node is there, and with which version."""
    return f"PONG Version: {__version__}"


def commands(context: Context, _: NoArguments) -> dict[str, Any]:
    """Answer the names of all commands, each with the JSON schema of its arguments."""
    registry = context.manager.registry
    schemas: dict[str, Any] = {}
    for name in registry.names():
        entry = registry.get(name)
        if entry is not None:
            schemas[name] = entry.schema()
    return schemas


def system(arguments: SystemArguments) -> Program:
    """Run a program."""
    spec = ProgramSpec(
        (arguments.name, *(arguments.args or ())),
        arguments.env,
        bool(arguments.clear_env),
        arguments.dir,
    )
    return Program(spec, _stdin(arguments.stdin))


def bash(arguments: BashArguments) -> Program:
    """Run a script with `sh`."""
    return Program(ProgramSpec(("sh", "-c", arguments.script)), _stdin(arguments.stdin))


def _stdin(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise BadRequestError("stdin: text or bytes expected")
