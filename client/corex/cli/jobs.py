"""`corex result`, `corex kill`."""

from __future__ import annotations

import signal as signals
from typing import Annotated

import typer

from corex.cli.arguments import JobArgument, Raw
from corex.cli.exits import FAILED, NO_ANSWER, exit_code, has_exit_code
from corex.cli.render import failure, pretty, put, put_error, put_json, put_line, say
from corex.cli.session import client_of
from corex_shared.models import JobResult


def result(
    context: typer.Context,
    job: JobArgument,
    wait: Annotated[
        float | None,
        typer.Option("--wait", min=0, metavar="S", help="Wait up to S seconds for it."),
    ] = None,
    raw: Raw = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole result as JSON.")
    ] = False,
) -> None:
    """Print the result of a job: its answer, and the last part of its output.

    Exits as the job did; with 3 when there is no result (yet, or any more).

    **Examples**

    - `corex result 6a1f0c55d2f9405cb9d3e1c7aa`
    - `corex result "$job" --wait 60`
    - `corex result "$job" --json | jq .state`
    """
    with client_of(context) as client:
        handle = client.job(job)
        found = handle.result() if wait is None else handle.wait(wait)
    if found is None:
        say(f"job {job}: no result")
        raise typer.Exit(NO_ANSWER)
    if as_json:
        put_json(found)
    else:
        _print_result(found, raw=raw)
    raise typer.Exit(exit_code(found))


def _print_result(found: JobResult, *, raw: bool) -> None:
    if found.truncated:
        say(f"{found.node}: only the last part of the output was kept")
    put(found.stdout, raw=raw)
    put_error(found.stderr, raw=raw)
    if found.ok and found.data:
        put_line(pretty(found), raw=raw)
    if not found.ok and not has_exit_code(found):
        say(failure(found))


def _signal_number(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    known = getattr(signals, f"SIG{name}", None)
    if isinstance(known, signals.Signals):
        return known.value
    if name.isdigit() and 1 <= int(name) <= 64:
        return int(name)
    raise typer.BadParameter(f"{text!r} is no signal", param_hint="'--signal'")


def kill(
    context: typer.Context,
    job: JobArgument,
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="S", help="Name or number of the signal.")
    ] = "TERM",
    timeout: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds to wait for the node's answer.")
    ] = 10.0,
) -> None:
    """End a job, with all processes that it started.

    TERM gives them the job's grace and then KILL; INT and QUIT end it too; others are only
    delivered. Exits with 1 when the job has ended already, with 3 when nobody knows it.

    **Examples**

    - `corex kill 6a1f0c55d2f9405cb9d3e1c7aa`
    - `corex kill "$job" --signal KILL`
    - `corex kill "$job" -s HUP`
    """
    number = _signal_number(signal)
    with client_of(context) as client:
        handle = client.job(job)
        if handle.kill(number, timeout):
            put_line(f"{job}: killed")
            return
        stage = handle.state().stage
    if stage == "unknown":
        say(f"job {job}: nobody knows it (any more)")
        raise typer.Exit(NO_ANSWER)
    say(f"job {job}: it is {stage}")
    raise typer.Exit(FAILED)
