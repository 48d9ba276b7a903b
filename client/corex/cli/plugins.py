"""Commands that other packages bring.

A package names them as entry points of the group `corex.cli`: a `typer.Typer` becomes a group of
commands, a callable one command. They are loaded when they are called or listed, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from corex.cli.exits import USAGE
from corex.cli.render import say

GROUP = "corex.cli"
_EXTRAS = {"node": "node", "dev": "node"}
"""Which extra brings what our own plugins need."""


class PluginGroup(TyperGroup):
    """The commands of `corex`, with those of plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List our commands, then those of plugins."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in sorted(_plugins()) if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command, loading the plugin that brings it."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        plugin = _plugins().get(cmd_name)
        return None if plugin is None else load(plugin)


def _plugins() -> dict[str, EntryPoint]:
    return {plugin.name: plugin for plugin in entry_points(group=GROUP)}


def load(plugin: EntryPoint) -> Any:
    """Make a command of a plugin; of one that cannot be imported, a command that says why."""
    try:
        loaded = plugin.load()
    except ImportError as error:
        return _as_command(plugin.name, _stub(plugin, error), accept_all=True)
    if isinstance(loaded, typer.Typer):
        command = typer.main.get_command(loaded)
        command.name = plugin.name
        return command
    return _as_command(plugin.name, loaded)


def _as_command(name: str, function: Callable[..., Any], *, accept_all: bool = False) -> Any:
    settings = {"ignore_unknown_options": True, "allow_extra_args": True} if accept_all else None
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command(name, context_settings=settings)(function)
    return typer.main.get_command(app)


def _stub(plugin: EntryPoint, error: ImportError) -> Callable[[], None]:
    extra = _EXTRAS.get(plugin.name, plugin.name)
    hint = f"pip install 'corex-runner[{extra}]'"

    def stub() -> None:
        say(f"{plugin.name}: {error}; install what it needs with: {hint}")
        raise typer.Exit(USAGE)

    stub.__doc__ = f"Not installed: {hint}"
    return stub
