"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

_AGAIN = 0.1
"""Seconds after which a task that goes on is cancelled again."""


async def end(tasks: Collection[asyncio.Task[Any]], seconds: float) -> bool:
    """Cancel tasks until they are done.

    Once is not enough: redis-py sends within `asyncio.wait_for`, which up to Python 3.11 returns
    the result of what it waited for, and forgets the cancellation, when both come at once
    (github.com/python/cpython, issue 86296).

    Args:
        tasks: what they raise is theirs to be asked for.
        seconds: to go on for.

    Returns:
        Whether all are done.
    """
    deadline = time.monotonic() + seconds
    while going := [task for task in tasks if not task.done()]:
        if time.monotonic() >= deadline:
            return False
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=_AGAIN)
    return True
