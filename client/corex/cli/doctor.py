"""`corex doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from corex.cli.escape import safe_line
from corex.cli.exits import FAILED, NO_ANSWER
from corex.cli.render import put_json, put_line
from corex.cli.session import client_of


def doctor(
    context: typer.Context,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds for the nodes to answer.")
    ] = 5.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of lines.")
    ] = False,
) -> None:
    """Check Redis, clocks, permissions and nodes, and say what to change.

    One line for each check: ok, unknown (it could not be looked at), warning or problem.

    Exits with 0 when nothing is a problem, 1 when something is, 3 when nothing answered.

    **Examples**

    - `corex doctor`
    - `corex --url rediss://redis.example:6380/0 doctor --json`
    """
    with client_of(context) as client:
        diagnosis = client.doctor(timeout)
    if as_json:
        put_json(diagnosis)
    else:
        for finding in diagnosis.findings:
            advice = f" -> {finding.advice}" if finding.advice else ""
            put_line(
                f"{finding.verdict:<8} {safe_line(f'{finding.check}: {finding.text}{advice}')}"
            )
    if not diagnosis.answered:
        raise typer.Exit(NO_ANSWER)
    raise typer.Exit(0 if diagnosis.healthy else FAILED)
