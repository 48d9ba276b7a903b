"""`corex call`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from corex.cli.arguments import TargetArgument
from corex.cli.exits import FAILED, exit_code_of_all, exit_code_of_error
from corex.cli.render import failure, pretty, put, put_error, put_json, put_line, say
from corex.cli.session import client_of
from corex_shared.errors import CorexError, WaitTimeout
from corex_shared.models import Command, JobResult
from corex_shared.states import Level

if TYPE_CHECKING:
    from corex.sync import Client
    from corex.ticket import Ticket

STOP_TIMEOUT = 5.0
"""Seconds that killing what was started may take."""


def call(
    context: typer.Context,
    target: TargetArgument,
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="The command's name.", show_default=False)
    ],
    arguments: Annotated[
        str | None,
        typer.Argument(metavar="JSON", help="Its arguments, a JSON object.", show_default=False),
    ] = None,
    control: Annotated[
        bool,
        typer.Option("--control", help="Do not wait behind other commands. For short ones only."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds to wait for the answers.")
    ] = 300.0,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the answer as it is; with several targets, one object a line.",
        ),
    ] = False,
) -> None:
    """Run any command on each target and print its answer.

    An answer that is a string is printed plain, any other as indented JSON.

    **Examples**

    - `corex call web-1 core.ping`
    - `corex call web-1 job.kill '{"id": "a1"}' --control`
    - `corex call 'web-*' info.mem --json`
    """
    made = Command(command, _parse(arguments))
    with client_of(context) as client:
        code = _call_all(client, target, made, control=control, timeout=timeout, as_json=as_json)
    raise typer.Exit(code)


def _parse(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise typer.BadParameter(f"not a JSON object: {error}", param_hint="'JSON'") from error


def _call_all(
    client: Client, target: str, command: Command, *, control: bool, timeout: float, as_json: bool
) -> int:
    from corex.gather import as_completed
    from corex.submit import prepare, send
    from corex.targets import parse_target, select

    chosen = select(parse_target(target), client.nodes())
    prepared = [prepare(client.core, one, command, control=control) for one in chosen]
    tickets = client.perform(send(client.core, prepared))
    results: dict[int, JobResult] = {}
    problem: WaitTimeout | None = None
    try:
        plan = as_completed(client.core, tickets, timeout, fresh=True)
        results.update(client.iterate(plan))  # also what came before an error
    except WaitTimeout as error:
        problem = error
        _stop_jobs(client, [t for index, t in enumerate(tickets) if index not in results])
    except KeyboardInterrupt:
        _stop_jobs(client, [t for index, t in enumerate(tickets) if index not in results])
        raise
    _print_all([results[index] for index in sorted(results)], len(chosen), as_json=as_json)
    if problem is None:
        return exit_code_of_all(list(results.values()))
    say(str(problem))
    return FAILED if results else exit_code_of_error(problem)


def _stop_jobs(client: Client, tickets: Sequence[Ticket]) -> None:
    """Kill jobs, within a few seconds."""
    from corex.kill import kill_many

    killed: set[int] = set()
    if sys.stderr.isatty():
        say("killing what was started (Ctrl-C leaves at once)")
    try:
        killed.update(
            index for index, _ in client.iterate(kill_many(client.core, tickets, STOP_TIMEOUT))
        )
    except WaitTimeout:
        pass  # told below, of each job
    except CorexError as error:
        say(f"while killing what was started: {error}")
    for index, ticket in enumerate(tickets):
        if index not in killed:
            say(f"{ticket.target}: job {ticket.id} may still run")


def _print_all(results: Sequence[JobResult], targets: int, *, as_json: bool) -> None:
    for result in results:
        if not result.ok:
            say(failure(result))
        elif as_json:
            put_json(
                _answer(result)
                if targets == 1
                else {"node": result.node, "answer": _answer(result)}
            )
        elif not result.data:
            put(result.stdout)
            put_error(result.stderr)
        elif targets == 1:
            put_line(pretty(result))
        else:
            for line in pretty(result).split("\n"):
                put_line(f"{result.node} | {line}")


def _answer(result: JobResult) -> Any:
    """Take the answer as it is: JSON unread, other forms as a string, none as null."""
    if not result.data:
        return None
    return msgspec.Raw(result.data.encode()) if result.level == Level.JSON else result.data
