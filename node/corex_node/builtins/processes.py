"""`process.list`, `process.kill`: all processes of the machine, not jobs alone."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from corex_node.manager.context import Context
from corex_node.manager.registry import Registry
from corex_node.manager.signals import check_signal
from corex_node.process.strangers import signal_stranger

_TERMINATE = 15


class ListArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `process.list`: one process, or all, which 0 means too."""

    pid: Annotated[int, Meta(ge=0)] | None = None


class KillArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `process.kill`: signal 0 means 15."""

    pid: int
    signal: int | None = None


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("process.list", ListArguments, repeatable=True)(list_all)
    registry.command("process.kill", KillArguments, inline=True)(kill)


def list_all(arguments: ListArguments) -> list[dict[str, Any]]:
    """List processes with what they use; none when the one that is asked for is gone."""
    from corex_node.machine.processes import list_processes  # when asked: see `info`

    return list_processes(arguments.pid or None)


def kill(context: Context, arguments: KillArguments) -> None:
    """Send a signal to a process.

    Raises:
        BadRequestError: the process is 1 or less, or there is no such signal.
        ForbiddenError: the process is the agent or one of its spawners, or we may not.
        NotFoundError: there is no such process.
    """
    number = arguments.signal or _TERMINATE
    check_signal(number)
    signal_stranger(arguments.pid, number, context.manager.spawner_pids())
