"""The command `corex`: its own options, its commands, and what its errors look like."""

from __future__ import annotations

from typing import Annotated

import typer

from corex.cli import (
    call,
    cp,
    doctor,
    events,
    jobs,
    logs,
    nodes,
    ps,
    queues,
    run_commands,
    top,
)
from corex.cli.exits import INTERRUPTED, exit_code_of_error
from corex.cli.plugins import PluginGroup
from corex.cli.render import put_line, say
from corex.cli.session import use_profile
from corex_shared.errors import CorexError
from corex_shared.version import __version__

app = typer.Typer(
    name="corex",
    cls=PluginGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        put_line(f"corex {__version__}")
        raise typer.Exit


@app.callback()
def corex(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="COREX_URL",
            metavar="URL",
            help="Where Redis is. [default: redis://127.0.0.1:6379/0]",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            envvar="COREX_NAMESPACE",
            metavar="NS",
            help="The fleet's namespace, when several share one Redis. [default: corex]",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            envvar="COREX_PROFILE",
            metavar="NAME",
            help="Profile of ~/.config/corex/config.toml that says where Redis is.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Run commands on many machines through Redis.

    A TARGET is a node ID, a glob (`'web-*'`), a label (`zone=eu`), `@group` (any one
    node of it), or several of these with commas between them.

    Exit codes: 0 all succeeded; the remote exit code when there is one target; 1 one of several
    failed; 2 usage; 3 no such node, nothing answered, or Redis cannot be reached; 124 the time
    was up; 130 Ctrl-C; 137 killed.
    """
    use_profile(context, profile)


app.command("run")(run_commands.run)
app.command("sh")(run_commands.sh)
app.command("call")(call.call)
app.command("ps")(ps.ps)
app.command("top")(top.top)
app.command("result")(jobs.result)
app.command("logs")(logs.logs)
app.command("kill")(jobs.kill)
app.command("cp")(cp.cp)
app.command("queues")(queues.queues)
app.command("nodes")(nodes.nodes)
app.command("events")(events.events)
app.command("doctor")(doctor.doctor)


def run() -> int:
    """Run the command line.

    Returns:
        The exit code; a command that ends by itself exits with it instead.
    """
    try:
        app()
    except CorexError as error:
        say(str(error))
        return exit_code_of_error(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
