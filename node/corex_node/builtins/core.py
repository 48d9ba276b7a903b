"""`core.ping`, `core.commands`."""

from __future__ import annotations

from typing import Any

from corex_node.manager.context import Context
from corex_node.manager.registry import NoArguments, Registry
from corex_shared.version import __version__


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("core.ping", inline=True, repeatable=True)(ping)
    registry.command("core.commands", inline=True, repeatable=True)(commands)


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
