"""`job.list`, `job.kill`, `job.unschedule`, `job.killall`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from corex_node.manager.context import Context
from corex_node.manager.jobs import Job
from corex_node.manager.registry import NoArguments, Registry
from corex_node.manager.signals import check_signal
from corex_node.process.usage import Usage
from corex_node.process.usage_meter import UsageMeter
from corex_shared.connection import safe_url
from corex_shared.errors import NotFoundError

_HIDDEN = frozenset({"stdin", "env", "block"})
_SHOWN = 4096
"""Characters of an argument that are shown."""


class ListArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `job.list`: one job, or all."""

    id: str | None = None


class KillArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `job.kill`: signal 0 means 15."""

    id: str
    signal: int | None = None


class JobArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command about one job."""

    id: str


def register(registry: Registry) -> None:
    """Add the commands to a registry."""
    registry.command("job.list", ListArguments, repeatable=True)(list_jobs)
    registry.command("job.kill", KillArguments, inline=True)(kill)
    registry.command("job.unschedule", JobArguments, inline=True)(unschedule)
    registry.command("job.killall", NoArguments, inline=True)(kill_all)


async def list_jobs(context: Context, arguments: ListArguments) -> list[dict[str, Any]]:
    """List jobs with what they use, those that wait included.

    Raises:
        NotFoundError: there is no job of that ID.
    """
    wanted = None if arguments.id is None else [arguments.id]
    jobs = context.manager.snapshot(wanted)
    if wanted is not None and not jobs:
        raise NotFoundError(f"id: {arguments.id}: no such job")
    pids = {job.id: job.pid for job in jobs}
    running = {job_id: pid for job_id, pid in pids.items() if pid}
    usages = await context.in_thread(UsageMeter().measure, running) if running else {}
    return [_entry(job, pids[job.id], usages.get(job.id, Usage())) for job in jobs]


def _entry(job: Job, pid: int, usage: Usage) -> dict[str, Any]:
    return {
        "cpu": usage.cpu,
        "rss": usage.rss,
        "vms": usage.vms,
        "swap": usage.swap,
        "starttime": job.started_ms,
        "cmd": _shown(job),
        "pid": pid,
        "stage": job.stage,
    }


def _shown(job: Job) -> dict[str, Any]:
    """The command as operators may see it: without what it is fed and its environment."""
    command = job.command
    arguments = {
        name: _shortened(value)
        for name, value in (command.arguments or {}).items()
        if name not in _HIDDEN
    }
    return {
        "id": job.id,
        "command": command.command,
        "arguments": arguments,
        "queue": command.queue,
        "max_time": command.max_time,
        "tags": command.tags or [],
    }


def _shortened(value: Any) -> Any:
    """Cut long text, and take passwords out of URLs."""
    if not isinstance(value, str):
        return value
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return safe_url(shown)


def kill(context: Context, arguments: KillArguments) -> bool:
    """Send a signal to a job, or end it; false when there is no such job.

    Raises:
        BadRequestError: there is no such signal.
    """
    number = arguments.signal or 15
    check_signal(number)
    return context.manager.kill(arguments.id, number, by=context.job.command.reply_to)


def unschedule(context: Context, arguments: JobArguments) -> bool:
    """Have no further run of a job follow; false when there is no such job."""
    return context.manager.unschedule(arguments.id)


def kill_all(context: Context, _: NoArguments) -> bool:
    """Kill all jobs but the one that asks; true."""
    context.manager.kill_all(keep=[context.job.id], by=context.job.command.reply_to)
    return True
