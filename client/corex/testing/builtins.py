"""What every node in memory answers: about jobs and queues, and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from corex.testing.files import FILE_COMMANDS, call_file_command
from corex_shared.errors import BadRequestError, NotFoundError
from corex_shared.version import __version__

if TYPE_CHECKING:
    from corex.testing.engine import Engine
    from corex.testing.job import MemoryJob

Builtin = Callable[["Engine", "MemoryJob", Mapping[str, Any]], Any]

_HIDDEN = frozenset({"stdin", "env", "block"})


def _take(arguments: Mapping[str, Any], *known: str) -> list[Any]:
    """Take the arguments of a command.

    Raises:
        BadRequestError: there is one that the command does not have.
    """
    for name in arguments:
        if name not in known:
            raise BadRequestError(f"{name}: the arguments contain unknown field `{name}`")
    return [arguments.get(name) for name in known]


def _ping(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> str:
    del engine, job
    _take(arguments)
    return f"PONG Version: {__version__}"


def _commands(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> dict[str, Any]:
    del engine
    _take(arguments)
    return {name: {} for name in sorted({*BUILTINS, *job.node.known_names()})}


def _version(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> dict[str, Any]:
    del engine, job
    _take(arguments)
    return {"version": __version__}


def _list(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    del engine
    (wanted,) = _take(arguments, "id")
    jobs = [one for one in job.node.jobs.values() if wanted in (None, one.id)]
    if wanted is not None and not jobs:
        raise NotFoundError(f"id: {wanted}: no such job")
    return [_entry(one) for one in jobs]


def _entry(job: MemoryJob) -> dict[str, Any]:
    command = job.command
    shown = {name: value for name, value in job.arguments.items() if name not in _HIDDEN}
    return {
        "cmd": {
            "id": job.id,
            "command": command.command,
            "arguments": shown,
            "queue": command.queue,
            "max_time": command.max_time,
            "tags": command.tags or [],
        },
        "stage": job.stage.value,
        "starttime": job.started_ms,
        "pid": 0,
        "cpu": 0.0,
        "rss": 0,
        "vms": 0,
        "swap": 0,
    }


def _kill(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> bool:
    wanted, signal = _take(arguments, "id", "signal")
    if not isinstance(wanted, str):
        raise BadRequestError("id: Expected `str`")
    found = job.node.jobs.get(wanted)
    if found is None:
        return False
    engine.kill(found, signal or 15)
    return True


def _kill_all(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> bool:
    _take(arguments)
    for one in list(job.node.jobs.values()):
        if one is not job:
            engine.kill(one, 15)
    return True


def _unschedule(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> bool:
    (wanted,) = _take(arguments, "id")
    found = job.node.jobs.get(wanted) if isinstance(wanted, str) else None
    if found is None:
        return False
    engine.unschedule(found)
    return True


def _queues(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    _take(arguments)
    entries = []
    for (owner, name), line in engine.lines.items():
        mine = [one for one in line if one.node is job.node]
        if not line or not mine:
            continue
        holder, *waiters = line
        fleet = not owner
        entries.append(
            {
                "queue": name,
                "holder": holder.id,
                "stage": holder.stage.value if holder.node is job.node else "",
                "starttime": holder.started_ms if holder.node is job.node else 0,
                "waiters": [f"{one.node.id}/{one.id}" if fleet else one.id for one in waiters],
                "scope": "fleet" if fleet else "node",
                "node": holder.node.id if fleet else "",
            }
        )
    return entries


def _files(name: str) -> Builtin:
    def answer(engine: Engine, job: MemoryJob, arguments: Mapping[str, Any]) -> Any:
        del engine
        return call_file_command(name, job.node.files, arguments)

    return answer


BUILTINS: dict[str, Builtin] = {
    **{name: _files(name) for name in FILE_COMMANDS},
    "core.commands": _commands,
    "core.ping": _ping,
    "info.version": _version,
    "job.kill": _kill,
    "job.killall": _kill_all,
    "job.list": _list,
    "job.unschedule": _unschedule,
    "queue.list": _queues,
}
"""By name."""
