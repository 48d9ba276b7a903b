"""Keyword arguments that many methods share, and the commands made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack, cast

from corex_shared.models import Command


class CommandOptions(TypedDict, total=False):
    """Options of every command; None means the same as leaving it out. Durations in seconds.

    Attributes:
        id: job ID; made by the client if absent.
        queue: commands with one queue run one at a time, in order.
        queue_scope: whether the queue is the node's own (default) or the whole fleet's.
        max_time: how long one run may take; then state `TIMEOUT`.
        grace: between TERM and KILL when the job is stopped.
        max_restart: total runs allowed while it does not succeed.
        recurring_period: wait after each run before the next.
        expires_at: ms since the epoch; not started by then, it never is (`EXPIRED`).
        on_lost: whether it runs again if its agent dies while it runs.
        stream: publish output as it appears.
        log_levels: message levels that go to the node's log channel.
        stats_interval: between samples of its resources.
        tags: the caller's own strings, copied to the result.
        reply_to: ID of another client that shall hear of the result.
    """

    id: str | None
    queue: str | None
    queue_scope: Literal["node", "fleet"] | None
    max_time: float | None
    grace: float | None
    max_restart: int | None
    recurring_period: float | None
    expires_at: int | None
    on_lost: Literal["report", "retry"] | None
    stream: bool | None
    log_levels: Sequence[int] | None
    stats_interval: float | None
    tags: Sequence[str] | None
    reply_to: str | None


class ProcessOptions(TypedDict, total=False):
    """Options of a process; None means the same as leaving it out.

    Attributes:
        dir: its working directory.
        env: its environment, added to the agent's.
        clear_env: `env` replaces the agent's environment.
        stdin: its standard input.
        user: name or number of the user it runs as.
        group: name or number of its group.
        umask: its file mode mask.
        nice: its niceness.
        rlimits: limit name → value, or soft and hard value.
    """

    dir: str | None
    env: Mapping[str, str] | None
    clear_env: bool | None
    stdin: str | bytes | None
    user: str | int | None
    group: str | int | None
    umask: int | str | None
    nice: int | None
    rlimits: Mapping[str, int | Sequence[int]] | None


class SystemOptions(ProcessOptions, CommandOptions, total=False):
    """Options of `system`: those of the process and those of the command."""


_PROCESS = frozenset(ProcessOptions.__annotations__)
_COMMAND = frozenset(CommandOptions.__annotations__)


def make_command(
    name: str, arguments: Mapping[str, Any] | None, options: CommandOptions
) -> Command:
    """Make a command of a name, its arguments and options.

    Raises:
        TypeError: an option has no such name.
    """
    unknown = options.keys() - _COMMAND
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    fields: dict[str, Any] = dict(options)
    for several in ("tags", "log_levels"):
        if fields.get(several) is not None and not isinstance(fields[several], str):
            fields[several] = list(fields[several])
    return Command(name, None if arguments is None else dict(arguments), **fields)


def system_command(
    name: str, args: Sequence[str] | None, **options: Unpack[SystemOptions]
) -> Command:
    """Make the command that runs a program.

    Raises:
        TypeError: an option has no such name, or `args` is a single string.
    """
    if isinstance(args, str):
        raise TypeError("args is a list of strings, one for each argument")
    arguments: dict[str, Any] = {"name": name}
    if args:
        arguments["args"] = list(args)
    rest: dict[str, Any] = {}
    for key, value in options.items():
        if key not in _PROCESS:
            rest[key] = value
        elif value is not None:
            arguments[key] = dict(value) if isinstance(value, Mapping) else value
    return make_command("core.system", arguments, cast("CommandOptions", rest))


def bash_command(script: str, stdin: str | bytes | None, options: CommandOptions) -> Command:
    """Make the command that runs a shell script."""
    arguments: dict[str, Any] = {"script": script}
    if stdin is not None:
        arguments["stdin"] = stdin
    return make_command("bash", arguments, options)
