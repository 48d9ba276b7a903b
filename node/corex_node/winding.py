"""Steps of an agent's way down, each bounded in time; their order is `Agent._wind_down`'s."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

from corex_node.manager.manager import ProcessManager
from corex_shared.endings import end

STEP = 5.0
"""Seconds for a step that needs Redis once."""
_LONGEST_GRACE = 30.0
"""Seconds of grace that a job has when the agent itself is told to stop."""
_KILL_MARGIN = 5.0
"""Seconds that jobs have to end beyond their grace."""

_log = structlog.get_logger()


async def bounded(step: Coroutine[Any, Any, object], name: str, seconds: float = STEP) -> bool:
    """Await a step for so long at most; what goes wrong with it is logged.

    Returns:
        Whether it was done.
    """
    task = asyncio.create_task(step)
    await asyncio.wait({task}, timeout=seconds)
    if not await end([task], STEP) or task.cancelled():
        _log.error("node.stop_incomplete", step=name, reason=f"not within {seconds:g} s")
    elif (error := task.exception()) is not None:
        _log.error("node.stop_incomplete", step=name, reason=str(error))
    else:
        return True
    return False


async def drained(manager: ProcessManager, seconds: float) -> None:
    """Return when no job is left, or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while manager.jobs:
                await manager.change()
    except TimeoutError:
        pass


def leave_between_runs(manager: ProcessManager) -> None:
    """Part with jobs that wait for their next run: there is nothing to wait for.

    Recurring ones stay claimed, for the node's next agent to go on with; others end with the
    outcome of their last run.
    """
    for job in manager.between_runs():
        if job.command.recurring_period:
            manager.withdraw(job)
        else:
            manager.unschedule(job.id)


def leave_to_successor(manager: ProcessManager) -> None:
    """Part with what does not run: it stays claimed, for the node's next agent to start.

    Its end is not this agent's to write any more, and nobody has asked for it.
    """
    for job in manager.snapshot():
        is_next_agents = not job.attempts or job.command.recurring_period
        if job.execution is None and job.admitted and is_next_agents and not job.local:
            manager.withdraw(job)


async def stop_jobs(manager: ProcessManager) -> None:
    """Stop all jobs with the grace that each has, as far as there is time for it."""
    manager.stop_all()
    graces = [manager.grace_of(job) for job in manager.snapshot()]
    await drained(manager, min(max(graces, default=0.0), _LONGEST_GRACE) + _KILL_MARGIN)
    manager.stop_all(signal.SIGKILL)
    await drained(manager, _KILL_MARGIN)
