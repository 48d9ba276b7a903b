"""`corex run` and `corex sh`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from corex.cli.session import client_of
from corex_shared.models import Command


class Scope(StrEnum):
    """Whose a queue is."""

    node = "node"
    fleet = "fleet"


Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="Which nodes: an ID, a glob, a label (zone=eu), any one of a group (@build), or "
        "several with commas between.",
        show_default=False,
    ),
]
Dir = Annotated[str | None, typer.Option("--dir", metavar="DIR", help="Working directory.")]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="K=V", help="Environment variable; may be repeated."),
]
Stdin = Annotated[
    bool, typer.Option("--stdin", help="Read standard input to its end and send it along.")
]
Queue = Annotated[
    str | None,
    typer.Option("--queue", metavar="Q", help="Run one at a time with others of this queue."),
]
QueueScope = Annotated[
    Scope | None,
    typer.Option(
        "--queue-scope", help="Whose queue it is: each node's, or one for the whole fleet."
    ),
]
MaxTime = Annotated[
    float | None,
    typer.Option("--max-time", min=0, metavar="S", help="Stop it after S seconds (exit code 124)."),
]
Grace = Annotated[
    float | None,
    typer.Option("--grace", min=0, metavar="S", help="Seconds between TERM and KILL."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TEXT", help="Copied to the result; may be repeated."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Print the job IDs, one a line, and return at once.")
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", min=0, metavar="S", help="Seconds to wait; what still runs then is killed."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON result a target instead of live output.")
]


def run(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    context: typer.Context,
    target: Target,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND",
            help="The program and its arguments, behind a --.",
            show_default=False,
        ),
    ],
    dir: Dir = None,
    env: Env = None,
    stdin: Stdin = False,
    queue: Queue = None,
    queue_scope: QueueScope = None,
    max_time: MaxTime = None,
    grace: Grace = None,
    tag: Tags = None,
    detach: Detach = False,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Run a program on each target, its output shown as it appears.

    With several targets each line is preceded by its node. Ctrl-C kills what was started; a
    second one leaves at once.

    Example: `corex run 'web-*' --dir /srv -- git pull`
    """
    arguments: dict[str, Any] = {"name": command[0], "args": command[1:]}
    _add(arguments, dir=dir, env=_pairs(env), stdin=_read_stdin() if stdin else None)
    made = Command(
        "core.system",
        arguments,
        queue=queue,
        queue_scope=_scope(queue, queue_scope),
        max_time=max_time,
        grace=grace,
        tags=tag or None,
    )
    _launch(context, target, made, detach=detach, timeout=timeout, as_json=as_json)


def sh(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    context: typer.Context,
    target: Target,
    script: Annotated[
        str,
        typer.Argument(
            metavar="SCRIPT", help="The script's text; - reads it from stdin.", show_default=False
        ),
    ],
    dir: Dir = None,
    env: Env = None,
    stdin: Stdin = False,
    queue: Queue = None,
    queue_scope: QueueScope = None,
    max_time: MaxTime = None,
    grace: Grace = None,
    tag: Tags = None,
    detach: Detach = False,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Run a shell script on each target: `corex run` with a shell.

    Example: `corex sh web-1,web-2 'df -h / | tail -1'`
    """
    if script == "-":
        if stdin:
            raise typer.BadParameter("stdin cannot be both the script and its input")
        script = _read_stdin().decode(errors="replace")
    arguments: dict[str, Any] = {"script": script}
    _add(arguments, dir=dir, env=_pairs(env), stdin=_read_stdin() if stdin else None)
    made = Command(
        "bash",
        arguments,
        queue=queue,
        queue_scope=_scope(queue, queue_scope),
        max_time=max_time,
        grace=grace,
        tags=tag or None,
    )
    _launch(context, target, made, detach=detach, timeout=timeout, as_json=as_json)


def _scope(queue: str | None, scope: Scope | None) -> Literal["node", "fleet"] | None:
    if scope is not None and queue is None:
        raise typer.BadParameter("it needs a --queue", param_hint="'--queue-scope'")
    if scope is None:
        return None
    return "fleet" if scope is Scope.fleet else "node"


def _launch(
    context: typer.Context,
    target: str,
    command: Command,
    *,
    detach: bool,
    timeout: float,
    as_json: bool,
) -> None:
    from corex.cli.launch import detach_jobs, run_jobs

    with client_of(context) as client:
        if detach:
            code = detach_jobs(client, target, command)
        else:
            code = run_jobs(client, target, command, timeout=timeout, as_json=as_json)
    raise typer.Exit(code)


def _add(arguments: dict[str, Any], **given: Any) -> None:
    arguments.update({key: value for key, value in given.items() if value is not None})


def _pairs(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    env: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r}: K=V expected", param_hint="'--env'")
        env[key] = value
    return env


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read()
