"""`corex logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from corex.cli.arguments import Raw
from corex.cli.complete import complete_job
from corex.cli.exits import NO_ANSWER, exit_code, has_exit_code
from corex.cli.output import LiveOutput
from corex.cli.render import failure, put_json, put_line, say
from corex.cli.session import client_of
from corex_shared.identifiers import check_id
from corex_shared.states import Level

if TYPE_CHECKING:
    from corex.sync import Client

JOB_TIMEOUT = 3600.0
"""Seconds that a job is followed unless told otherwise."""
NODE_TIMEOUT = 1e9
"""Seconds that nodes are followed unless told otherwise: until Ctrl-C."""


def logs(
    context: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="The job's ID.",
            show_default=False,
            autocompletion=complete_job,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends.")
    ] = False,
    node: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB", help="With -f, in place of JOB: what the jobs of nodes log, live."
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(metavar="LEVELS", help="With --node: levels only, as in `2,critical`."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="S",
            help="Seconds to follow at most.  [default: 3600; with --node until Ctrl-C]",
            show_default=False,
        ),
    ] = None,
    raw: Raw = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON message a line.")] = False,
) -> None:
    """Print what a job that was started with live output has written, or what nodes log.

    What cannot be had any more is counted on stderr, and what kept the job from succeeding is said
    there. Ctrl-C stops the printing, not the job.

    With -f it exits as the job did, as `corex result` does; without, with 0. Exits with 3 when
    nobody knows the job (any more).

    **Examples**

    - `corex logs 6a1f0c55d2f9405cb9d3e1c7aa`
    - `corex logs -f "$job"`
    - `corex logs -f --node 'web-*' --level 2,critical`
    """
    if (job is None) == (node is None):
        raise typer.BadParameter("one of them is needed, and not both", param_hint="JOB, --node")
    if node is not None and not follow:
        raise typer.BadParameter("what nodes log is not kept: add -f", param_hint="'--node'")
    if level is not None and node is None:
        raise typer.BadParameter("it goes with --node", param_hint="'--level'")
    levels = _levels(level) if level is not None else set()
    with client_of(context) as client:
        if node is not None:
            limit = NODE_TIMEOUT if timeout is None else timeout
            _show_nodes(client, node, levels, limit, raw=raw, as_json=as_json)
        elif job is not None:
            limit = JOB_TIMEOUT if timeout is None else timeout
            _show_job(
                client, check_id("job", job), limit if follow else None, raw=raw, as_json=as_json
            )


def _levels(text: str) -> set[int]:
    """Read levels, by number or by name."""
    levels = set()
    for part in text.split(","):
        name = part.strip().upper().replace("-", "_")
        if name.isdigit() and int(name) <= 255:
            levels.add(int(name))
        elif name in Level.__members__:
            levels.add(Level[name].value)
        else:
            known = ", ".join(member.lower() for member in Level.__members__)
            raise typer.BadParameter(
                f"{part!r} is none of 0 to 255, {known}", param_hint="'--level'"
            )
    return levels


def _show_nodes(
    client: Client, glob: str, levels: set[int], timeout: float, *, raw: bool, as_json: bool
) -> None:
    """Print what nodes log: each line with its node and its job."""
    from corex.streams import Gap

    for message in client.follow_nodes(glob, levels=levels, timeout=timeout):
        if as_json:
            put_json(message)
        if isinstance(message, Gap):
            say(message.text)
        elif not as_json:
            for line in message.text.splitlines():
                put_line(f"{message.node} | {message.job} | {line}", raw=raw)


def _show_job(client: Client, job: str, timeout: float | None, *, raw: bool, as_json: bool) -> None:
    """Print a job's messages: those that come within some seconds too, or those that are there."""
    from corex.follow import follow, read_log
    from corex.streams import Gap

    core = client.core
    if timeout is None:
        plan = read_log(core, job)
    else:
        plan = follow(core, [job], timeout, unknown_too=False)
    output = LiveOutput({job: ""}, raw=raw)
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
    _tell_end(client, job, is_over=timeout is not None)


def _tell_end(client: Client, job: str, *, is_over: bool) -> None:
    """Say why a job did not succeed, which its messages do not.

    Args:
        client: the client.
        job: the job.
        is_over: it was followed to its end: exit as it did.
    """
    result = client.job(job).result()  # written with the last message, in one step
    if result is not None and not result.ok and not has_exit_code(result):
        say(failure(result))
    if not is_over:
        return
    if result is None:
        say(f"job {job}: no result")
        raise typer.Exit(NO_ANSWER)
    raise typer.Exit(exit_code(result))


def _explain_nothing(client: Client, job: str) -> None:
    """Say why a job has no messages."""
    status = client.job(job).state()
    if status.stage == "unknown":
        say(f"job {job}: nobody knows it (any more)")
        raise typer.Exit(NO_ANSWER)
    where = f"{status.stage} {status.state.value}" if status.state else status.stage
    say(f"job {job}: {where}; no log: it wrote nothing, or was not started with live output")
