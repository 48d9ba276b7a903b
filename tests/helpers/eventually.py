"""Waiting for what will come true, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 20.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


def eventually(condition: Callable[[], T], what: str = "", *, seconds: float = SECONDS) -> T:
    """Call a condition until what it returns counts as true, and return that.

    Args:
        condition: what must come true; an exception of it passes.
        what: what is waited for, for the message; its source code when empty.
        seconds: how long to wait.

    Raises:
        AssertionError: it did not come true; says what was waited for and what there was.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(_message(condition, what, seconds, value))
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return value


async def eventually_async(
    condition: Callable[[], T], what: str = "", *, seconds: float = SECONDS
) -> T:
    """Do the same while the event loop runs on; the condition itself must not block."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(_message(condition, what, seconds, value))
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return value


def _message(condition: Callable[[], object], what: str, seconds: float, value: object) -> str:
    if not what:
        try:
            what = inspect.getsource(condition).strip()
        except (OSError, TypeError):
            what = repr(condition)
    return f"not within {seconds:g} s: {what}; last seen: {value!r}"
