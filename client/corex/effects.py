"""What a plan asks of its driver.

Every operation of the client is a *plan*: a generator that yields effects and is sent what came
of them. It reads no clock and opens no connection by itself, so one plan serves the blocking and
the asyncio client, and a test drives it by hand. `corex.transport` holds the two drivers. An
effect that fails with a `StoreError` or an `OSError` is raised inside the plan, at its `yield`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from corex.mailbox import Waiter
from corex_shared.scripts import Call, Step

T = TypeVar("T")


class Unserved(Enum):
    """Answer of a driver that has no blocking connection left: ask again later, by polling."""

    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Run:
    """Run commands in one round trip. Sent: the list of answers."""

    calls: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Block:
    """Run one command that blocks on the server. Sent: its answer, or `Unserved.BUSY`."""

    call: Call
    seconds: float


@dataclass(frozen=True, slots=True)
class ReadInbox:
    """Wait until the waiter has mail or the time is up. Sent: None."""

    waiter: Waiter
    seconds: float


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to channels on a fresh connection; done when the server confirmed them all.

    With `patterns` the channels are glob patterns over names of channels.

    A plan has one subscription at most; an earlier one is closed. The driver closes it at the
    end of the plan, however it ends. Sent: None.
    """

    channels: Sequence[str]
    patterns: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for messages on the subscription. Sent: the payloads that came, maybe none."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for a while. Sent: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Call a function that may block: one that reads or writes a local file. Sent: its answer.

    The asyncio client calls it in a thread.
    """

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an item to whoever iterates over the plan. Sent: None."""

    item: Any


Effect: TypeAlias = Run | Block | ReadInbox | Subscribe | Listen | Sleep | Do | Emit
Plan: TypeAlias = Generator[Effect, Any, T]
"""An operation whose final value is a T."""


def advance(plan: Plan[Any], reply: object, error: Exception | None) -> Effect:
    """Let a plan go on to its next effect.

    Args:
        plan: the plan.
        reply: what came of its last effect.
        error: the error of its last effect, which is then raised in the plan.

    Raises:
        StopIteration: the plan is done; holds its value.
    """
    return plan.send(reply) if error is None else plan.throw(error)
