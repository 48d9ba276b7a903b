"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from corex.cli.complete import complete_job, complete_target

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="Which nodes.",
        show_default=False,
        autocompletion=complete_target,
    ),
]
MaybeTarget = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        help="Which nodes; of a group (@build) all.  [default: all]",
        show_default=False,
        autocompletion=complete_target,
    ),
]
JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="The job's ID.", show_default=False, autocompletion=complete_job
    ),
]
AnswerTimeout = Annotated[
    float,
    typer.Option("--timeout", min=0, metavar="S", help="Seconds for the nodes to answer."),
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line instead of a table.")
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Pass on what the job wrote as it is, also to a terminal, which obeys what it "
        "says: for jobs that you trust.",
    ),
]
