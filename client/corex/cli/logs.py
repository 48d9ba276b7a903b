"""`corex logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from corex.cli.exits import NO_ANSWER
from corex.cli.output import LiveOutput
from corex.cli.render import put_json, say
from corex.cli.session import client_of
from corex_shared.identifiers import check_id

if TYPE_CHECKING:
    from corex.sync import Client

FOLLOW_TIMEOUT = 3600.0
"""Seconds that a job is followed unless told otherwise."""


def logs(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's ID.", show_default=False)],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds to follow at most.")
    ] = FOLLOW_TIMEOUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON message a line.")] = False,
) -> None:
    """Print what a job that was started with live output has written.

    What is no longer in its log is counted on stderr. Ctrl-C stops the printing, not the job.
    Exits with 3 when nobody knows the job.
    """
    with client_of(context) as client:
        _show_job(client, check_id("job", job), timeout if follow else None, as_json=as_json)


def _show_job(client: Client, job: str, timeout: float | None, *, as_json: bool) -> None:
    """Print a job's messages: those that come within some seconds too, or those that are there."""
    from corex.follow import follow, read_log
    from corex.streams import Gap

    core = client.core
    if timeout is None:
        plan = read_log(core, job)
    else:
        plan = follow(core, [job], timeout, unknown_too=False)
    output = LiveOutput({job: ""})
    empty = True
    try:
        for message in client.iterate(plan):
            empty = False
            if as_json:
                put_json(message)
                if isinstance(message, Gap):
                    say(message.text)
            else:
                output.show(message)
    finally:
        output.finish()
    if empty:
        _explain_nothing(client, job)


def _explain_nothing(client: Client, job: str) -> None:
    """Say why a job has no messages."""
    status = client.job(job).state()
    if status.stage == "unknown":
        say(f"job {job}: nobody knows it (any more)")
        raise typer.Exit(NO_ANSWER)
    where = f"{status.stage} {status.state.value}" if status.state else status.stage
    say(f"job {job}: {where}; no log: it wrote nothing, or was not started with live output")
