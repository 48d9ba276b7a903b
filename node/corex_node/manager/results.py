"""Job and outcome → JobResult."""

from __future__ import annotations

from msgspec import structs

from corex_node.manager.jobs import Job
from corex_node.manager.outcome import Outcome
from corex_shared.models import Command, JobResult


def result_of(job: Job, node: str, outcome: Outcome) -> JobResult:
    """Make the result of a job that has ended."""
    data, level = (outcome.data, outcome.level) if outcome.level else job.data
    result = JobResult(
        id=job.id,
        command=job.command.command,
        node=node,
        state=outcome.state,
        code=outcome.code,
        signal=outcome.signal,
        data=data,
        level=level,
        starttime=job.started_ms,
        time=job.last_ms,
        queued=max(0, job.started_ms - job.claimed_ms) if job.started_ms else 0,
        attempts=job.runs,
        tags=job.command.tags or [],
    )
    if job.stdout is None and job.stderr is None and not job.survivors:
        return result
    return _with_output(result, job)


def _with_output(result: JobResult, job: Job) -> JobResult:
    """Add what the job's processes wrote, and how many of them are left."""
    out, err = job.stdout, job.stderr
    return structs.replace(
        result,
        critical=job.critical,
        streams=(out.tail.text() if out else "", err.tail.text() if err else ""),
        stdout_bytes=out.written if out else 0,
        stderr_bytes=err.written if err else 0,
        truncated=job.data_cut
        or bool((out and out.tail.truncated) or (err and err.tail.truncated)),
        survivors=job.survivors,
    )


def result_unstarted(command: Command, node: str, outcome: Outcome) -> JobResult:
    """Make the result of a command that no job was made of."""
    return JobResult(
        id=command.job_id,
        command=command.command,
        node=node,
        state=outcome.state,
        code=outcome.code,
        data=outcome.data,
        level=outcome.level,
        tags=command.tags or [],
    )
