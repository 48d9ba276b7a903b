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
    from corex.job import AsyncJob, Job
    from corex.node import AsyncNode, Node
    from corex.status import JobStatus
    from corex.sync import Client
    from corex_shared.errors import (
        BadRequestError,
        CommandError,
        ConfigError,
        ConflictError,
        CorexError,
        DecodeError,
        ForbiddenError,
        InternalError,
        InvalidIdError,
        JobFailed,
        LeaseError,
        LeaseHeldError,
        LeaseLostError,
        NoSuchNodeError,
        NotAcceptableError,
        NotFoundError,
        PayloadTooLargeError,
        PreconditionFailedError,
        ServiceUnavailableError,
        StoreError,
        StoreRefusedError,
        StoreUnavailableError,
        WaitTimeout,
    )
    from corex_shared.models import Command, JobResult, Message, NodeInfo
    from corex_shared.states import JobState, Level
    from corex_shared.version import __version__

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "AsyncNode",
    "BadRequestError",
    "Client",
    "Command",
    "CommandError",
    "ConfigError",
    "ConflictError",
    "CorexError",
    "DecodeError",
    "ForbiddenError",
    "InternalError",
    "InvalidIdError",
    "Job",
    "JobFailed",
    "JobResult",
    "JobState",
    "JobStatus",
    "LeaseError",
    "LeaseHeldError",
    "LeaseLostError",
    "Level",
    "Message",
    "NoSuchNodeError",
    "Node",
    "NodeInfo",
    "NotAcceptableError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PreconditionFailedError",
    "ServiceUnavailableError",
    "StoreError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "WaitTimeout",
    "__version__",
]

_HOMES = {
    "AsyncClient": "corex.aio",
    "AsyncJob": "corex.job",
    "AsyncNode": "corex.node",
    "Client": "corex.sync",
    "Command": "corex_shared.models",
    "Job": "corex.job",
    "JobResult": "corex_shared.models",
    "JobState": "corex_shared.states",
    "JobStatus": "corex.status",
    "Level": "corex_shared.states",
    "Message": "corex_shared.models",
    "Node": "corex.node",
    "NodeInfo": "corex_shared.models",
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
