"""Run commands on many machines through Redis and wait for their results.

::

    from corex import Client

    with Client("redis://127.0.0.1:6379/0") as cx:
        result = cx.node("web-1").system("uptime").wait(timeout=10)
        print(result.stdout)

What is listed here is the public API. It is loaded when it is first used, so that a program that
needs a part of it does not pay for all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corex.aio import AsyncClient
    from corex.doctor.findings import Diagnosis, Finding, Verdict
    from corex.events import Event, EventGap
    from corex.fleet.events import Note, Started
    from corex.fleet.fleet import AsyncFleet, Fleet
    from corex.fleet.outcome import Outcome
    from corex.fleet.run import AsyncFleetRun, FleetRun
    from corex.group import AsyncGroup, Group
    from corex.job import AsyncJob, Job
    from corex.node import AsyncNode, Node
    from corex.questions.files import FileEntry, FileStat
    from corex.questions.info import (
        CpuInfo,
        DiskInfo,
        MemoryInfo,
        NicAddress,
        NicInfo,
        OsInfo,
        PortInfo,
        VersionInfo,
    )
    from corex.questions.jobs import JobCommand, JobEntry
    from corex.questions.processes import ProcessEntry, ProcessTimes, ResourceLimit
    from corex.questions.queues import QueueEntry
    from corex.questions.stats import Stat, StatTag, StatWindow, Usage
    from corex.status import JobStatus
    from corex.streams import Gap
    from corex.sync import Client
    from corex.transfer.copying import Transferred
    from corex.transfer.error import TransferError
    from corex_shared.errors import (
        BadRequestError,
        CommandError,
        ConfigError,
        ConflictError,
        CorexError,
        CredentialsError,
        DecodeError,
        ForbiddenError,
        GroupLostError,
        InternalError,
        InvalidIdError,
        JobFailed,
        LeaseError,
        LeaseHeldError,
        LeaseLostError,
        NodeAliveError,
        NoSuchNodeError,
        NoSuchRunError,
        NotAcceptableError,
        NotFoundError,
        PayloadTooLargeError,
        PreconditionFailedError,
        ServiceUnavailableError,
        StoreError,
        StoreForbiddenError,
        StoreRefusedError,
        StoreUnavailableError,
        WaitTimeout,
    )
    from corex_shared.models import Command, JobResult, Message, NodeInfo
    from corex_shared.states import JobState, Level
    from corex_shared.version import __version__

__all__ = [
    "AsyncClient",
    "AsyncFleet",
    "AsyncFleetRun",
    "AsyncGroup",
    "AsyncJob",
    "AsyncNode",
    "BadRequestError",
    "Client",
    "Command",
    "CommandError",
    "ConfigError",
    "ConflictError",
    "CorexError",
    "CpuInfo",
    "CredentialsError",
    "DecodeError",
    "Diagnosis",
    "DiskInfo",
    "Event",
    "EventGap",
    "FileEntry",
    "FileStat",
    "Finding",
    "Fleet",
    "FleetRun",
    "ForbiddenError",
    "Gap",
    "Group",
    "GroupLostError",
    "InternalError",
    "InvalidIdError",
    "Job",
    "JobCommand",
    "JobEntry",
    "JobFailed",
    "JobResult",
    "JobState",
    "JobStatus",
    "LeaseError",
    "LeaseHeldError",
    "LeaseLostError",
    "Level",
    "MemoryInfo",
    "Message",
    "NicAddress",
    "NicInfo",
    "NoSuchNodeError",
    "NoSuchRunError",
    "Node",
    "NodeAliveError",
    "NodeInfo",
    "NotAcceptableError",
    "NotFoundError",
    "Note",
    "OsInfo",
    "Outcome",
    "PayloadTooLargeError",
    "PortInfo",
    "PreconditionFailedError",
    "ProcessEntry",
    "ProcessTimes",
    "QueueEntry",
    "ResourceLimit",
    "ServiceUnavailableError",
    "Started",
    "Stat",
    "StatTag",
    "StatWindow",
    "StoreError",
    "StoreForbiddenError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "TransferError",
    "Transferred",
    "Usage",
    "Verdict",
    "VersionInfo",
    "WaitTimeout",
    "__version__",
]

_HOMES = {
    "AsyncClient": "corex.aio",
    "AsyncFleet": "corex.fleet.fleet",
    "AsyncFleetRun": "corex.fleet.run",
    "AsyncGroup": "corex.group",
    "AsyncJob": "corex.job",
    "AsyncNode": "corex.node",
    "Client": "corex.sync",
    "Command": "corex_shared.models",
    "CpuInfo": "corex.questions.info",
    "Diagnosis": "corex.doctor.findings",
    "DiskInfo": "corex.questions.info",
    "Event": "corex.events",
    "EventGap": "corex.events",
    "FileEntry": "corex.questions.files",
    "FileStat": "corex.questions.files",
    "Finding": "corex.doctor.findings",
    "Gap": "corex.streams",
    "Fleet": "corex.fleet.fleet",
    "FleetRun": "corex.fleet.run",
    "Group": "corex.group",
    "Job": "corex.job",
    "JobCommand": "corex.questions.jobs",
    "JobEntry": "corex.questions.jobs",
    "JobResult": "corex_shared.models",
    "JobState": "corex_shared.states",
    "JobStatus": "corex.status",
    "Level": "corex_shared.states",
    "MemoryInfo": "corex.questions.info",
    "Message": "corex_shared.models",
    "NicAddress": "corex.questions.info",
    "NicInfo": "corex.questions.info",
    "Node": "corex.node",
    "NodeInfo": "corex_shared.models",
    "Note": "corex.fleet.events",
    "OsInfo": "corex.questions.info",
    "Outcome": "corex.fleet.outcome",
    "PortInfo": "corex.questions.info",
    "ProcessEntry": "corex.questions.processes",
    "ProcessTimes": "corex.questions.processes",
    "QueueEntry": "corex.questions.queues",
    "ResourceLimit": "corex.questions.processes",
    "Started": "corex.fleet.events",
    "Stat": "corex.questions.stats",
    "StatTag": "corex.questions.stats",
    "StatWindow": "corex.questions.stats",
    "TransferError": "corex.transfer.error",
    "Transferred": "corex.transfer.copying",
    "Usage": "corex.questions.stats",
    "Verdict": "corex.doctor.findings",
    "VersionInfo": "corex.questions.info",
    "__version__": "corex_shared.version",
}
"""Where each name is defined; the others are errors."""


def __getattr__(name: str) -> Any:
    """Load a public name.

    Raises:
        AttributeError: there is none of that name.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "corex_shared.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
