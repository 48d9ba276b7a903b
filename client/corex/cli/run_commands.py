"""`corex run` and `corex sh`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from corex.cli.arguments import Raw
from corex.cli.complete import complete_target
from corex.cli.launched import Launch
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
        autocompletion=complete_target,
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
    bool,
    typer.Option("--detach", help="Print the job IDs, one a line, and do not wait for the jobs."),
]
Batch = Annotated[
    int | None,
    typer.Option("--batch", min=1, metavar="N", help="Run on no more than N nodes at once."),
]
Canary = Annotated[
    int | None,
    typer.Option(
        "--canary",
        min=1,
        metavar="N",
        help="Run on the first N nodes alone; on the others only if all of these succeeded.",
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        min=1,
        metavar="N",
        help="Start nothing more when N nodes have failed; never do more than N fail.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", min=0, metavar="S", help="Seconds to wait; what still runs then is killed."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a node instead of live output.")
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
    batch: Batch = None,
    canary: Canary = None,
    max_failures: MaxFailures = None,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
    raw: Raw = False,
) -> None:
    """Run a program on each target, its output shown as it appears.

    With several targets each line is preceded by its node, and what became of those that did not
    succeed is told in the end. A node that is away fails. Ctrl-C kills what was started; a second
    one leaves at once.

    **Examples**

    - `corex run web-1 -- uptime`
    - `corex run 'web-*' --dir /srv -- git pull`
    - `corex run zone=eu --canary 1 --batch 10 --max-failures 3 -- deploy v2`
    - `corex run 'web-*' --json -- df -P / | jq -r 'select(.state != "SUCCESS") | .node'`
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
    launch = Launch(target, made, timeout, batch, canary, max_failures, as_json, raw)
    _launch(context, launch, detach=detach)


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
    batch: Batch = None,
    canary: Canary = None,
    max_failures: MaxFailures = None,
    timeout: Timeout = 3600.0,
    as_json: AsJson = False,
    raw: Raw = False,
) -> None:
    """Run a shell script on each target: `corex run` with a shell.

    **Examples**

    - `corex sh web-1,web-2 'df -h / | tail -1'`
    - `corex sh 'web-*' - <setup.sh`
    - `corex sh 'web-*' --batch 1 --max-failures 1 'systemctl restart app && sleep 5'`
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
    launch = Launch(target, made, timeout, batch, canary, max_failures, as_json, raw)
    _launch(context, launch, detach=detach)


def _scope(queue: str | None, scope: Scope | None) -> Literal["node", "fleet"] | None:
    if scope is not None and queue is None:
        raise typer.BadParameter("it needs a --queue", param_hint="'--queue-scope'")
    if scope is None:
        return None
    return "fleet" if scope is Scope.fleet else "node"


def _launch(context: typer.Context, launch: Launch, *, detach: bool) -> None:
    from corex.cli.launch import detach_jobs, run_jobs

    if detach:
        _check_detached(launch)
    with client_of(context) as client:
        code = detach_jobs(client, launch) if detach else run_jobs(client, launch)
    raise typer.Exit(code)


def _check_detached(launch: Launch) -> None:
    bounds = {
        "--batch": launch.batch,
        "--canary": launch.canary,
        "--max-failures": launch.max_failures,
    }
    for name, value in bounds.items():
        if value is not None:
            why = "it makes no sense with --detach: nobody would wait to start the next nodes"
            raise typer.BadParameter(why, param_hint=f"'{name}'")


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
