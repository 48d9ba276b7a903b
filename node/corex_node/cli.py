"""`corex node run` and `corex dev`, which the command line finds as plugins."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from corex_node import config as settings
from corex_node.config import Config
from corex_node.process.embedded import EmbeddedRedis
from corex_node.replacement import USAGE, replace_process
from corex_shared.errors import ConfigError, CorexError

# The agent is loaded by a process of its own: what it needs is missed here, where it can be said.
for _needed in ("prctl", "psutil", "structlog"):
    if find_spec(_needed) is None:
        raise ModuleNotFoundError(f"No module named {_needed!r}", name=_needed)

node_app = typer.Typer(
    help="The agent of this machine.", no_args_is_help=True, rich_markup_mode="markdown"
)


@node_app.callback()
def _group() -> None:
    """The agent of this machine."""


@node_app.command()
def run(
    context: typer.Context,
    node_id: Annotated[
        str | None, typer.Option("--id", help="ID of the node; the host name if none is given.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with all settings.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Group of the node; may be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="KEY=VALUE of the node; may be repeated.")
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", help="Jobs running at once.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Redis, for example redis://127.0.0.1:6379/0.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error.")
    ] = None,
) -> None:
    """Serve a node: take its commands off Redis, run them, deliver their results.

    Ends with 0 after SIGTERM or Ctrl-C, when running jobs have ended or were stopped and all
    results are delivered.

    **Examples**

    - `corex node run --id web-1 --url redis://redis.example:6379/0`
    - `corex node run --config /etc/corex/node.toml --group build --label zone=eu`
    """
    main: dict[str, Any] = {
        "id": node_id,
        "url": url or _from_parents(context, "url"),
        "namespace": _from_parents(context, "namespace"),
        "groups": group or None,
        "max_jobs": max_jobs,
    }
    options = {
        "main": {key: value for key, value in main.items() if value is not None},
        "labels": _labels(label or []),
        "logging": {"level": log_level} if log_level else {},
    }
    replace_process(_load(config, options))


def dev(
    node_id: Annotated[str, typer.Option("--id", help="ID of the node.")] = "dev",
    log_level: Annotated[str, typer.Option("--log-level", help="Of the node.")] = "warning",
) -> None:
    """Start a Redis and a node to try things out, until Ctrl-C.

    Nothing is kept: the Redis and all that it holds are gone afterwards.

    **Examples**

    - `corex dev`
    - `corex dev --id mine --log-level info`
    """
    try:
        # With its file, which goes with it, as a server for nodes should be: no warning is due.
        with EmbeddedRedis(persistent=True) as redis:
            options = {
                "main": {"id": node_id, "url": redis.url},
                "logging": {"level": log_level},
            }
            loaded = _load(None, options)
            code = _serve(loaded, lambda: _tell_how(redis.url, loaded.main.id))
    except CorexError as error:
        typer.echo(f"corex: {error}", err=True)
        raise typer.Exit(1) from error
    raise typer.Exit(code)


def _tell_how(url: str, node: str) -> None:
    """Say, once the node is there, how to use it."""
    typer.echo(f"Redis:  {url}")
    typer.echo(f"Node:   {node}")
    typer.echo("")
    typer.echo("In another terminal:")
    typer.echo("")
    typer.echo(f"  export COREX_URL={url}")
    typer.echo(f"  corex run {node} -- uname -a")
    typer.echo("")
    typer.echo("Ctrl-C ends both.")


def _serve(loaded: Config, on_ready: Callable[[], object]) -> int:
    # `corex node run` does without: it takes longer to load than all else of the command line.
    from corex_node import logs
    from corex_node.service import serve

    logs.configure(loaded.logging.level, loaded.logging.format, loaded.logging.file)
    return serve(loaded, on_ready)


def _load(path: Path | None, options: dict[str, dict[str, Any]]) -> Config:
    try:
        return settings.load(path, os.environ, options)
    except ConfigError as error:
        typer.echo(f"corex: {error}", err=True)
        raise typer.Exit(USAGE) from error


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r}: KEY=VALUE expected", param_hint="--label")
        labels[key] = value
    return labels


def _from_parents(context: typer.Context, name: str) -> str | None:
    """Find a global option that was given to `corex` itself.

    One that comes from its environment variable, which is for clients too (COREX_URL), gives way to
    the variable that is the node's own; and is left to the settings if these know it themselves,
    so that what is wrong with it is said of the environment.
    """
    root = context.find_root()
    value, source = root.params.get(name), root.get_parameter_source(name)
    from_environment = source is not None and source.name == "ENVIRONMENT"
    known = settings.URL_VARIABLES if name == "url" else (f"{settings.PREFIX}{name.upper()}",)
    if from_environment and any(variable in os.environ for variable in known):
        return None
    return value if isinstance(value, str) else None
