"""What is said of one run of a job that has several.

That is of each run of a recurring job, the last included, and of each that a restart follows.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from corex_node.manager.jobs import Job
from corex_node.manager.outcome import Outcome
from corex_shared.states import JobState


class RunReport(Struct, frozen=True):
    """A run that has ended.

    Attributes:
        run: 1 for the first.
        state: of its end, as a result would have it.
        code: likewise.
        signal: likewise.
        duration: in ms.
        next: in how many ms the next begins, None when there is none.
    """

    run: int
    state: JobState
    code: int
    signal: int
    duration: int
    next: int | None

    def text(self) -> str:
        """As JSON, for the job's log."""
        return msgspec.json.encode(self).decode()

    def fields(self) -> dict[str, Any]:
        """As fields of an event."""
        return msgspec.structs.asdict(self)


def report_run(job: Job, outcome: Outcome, delay: float | None) -> RunReport:
    """Make the report of the run that has just ended; the next begins after `delay` seconds."""
    following = int(delay * 1000) if delay is not None else None
    return RunReport(job.runs, outcome.state, outcome.code, outcome.signal, job.last_ms, following)


def event_of(job: Job) -> str:
    """Name the event that a run of a job is."""
    return "recurring" if job.command.recurring_period else "restart"
