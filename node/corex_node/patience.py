"""Doing something on Redis as often as it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from corex_node.refusals import REFUSALS
from corex_shared.errors import StoreError, StoreRefusedError

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

_PAUSES = tenacity.wait_exponential(
    multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE
) + tenacity.wait_random(0, _FIRST_PAUSE)

Told = Callable[[StoreError, float], None]


async def until_available(work: Callable[[], Awaitable[T]], told: Told | None = None) -> T:
    """Do something that is harmless to repeat, until Redis has answered.

    Pauses grow from 50 ms to 2 s, with jitter.

    Args:
        work: called for each try.
        told: hears of each try that failed, and of the pause that follows, in seconds. Without
            it refusals are logged.

    Raises:
        CorexError: whatever `work` raises beside `StoreError`. (A refusal is repeated too: a key of
            the node that somebody else wrote comes right again, and the agent is still there.)
    """

    def before_sleep(attempt: tenacity.RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        pause = attempt.next_action.sleep if attempt.next_action else 0.0
        if told is not None and isinstance(error, StoreError):
            told(error, pause)
        elif isinstance(error, StoreRefusedError):
            REFUSALS.say(error, "agent")

    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(StoreError),
        wait=_PAUSES,
        before_sleep=before_sleep,
    ):
        with attempt:
            return await work()
    raise AssertionError("it never gives up")
