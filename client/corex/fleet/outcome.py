"""What became of one node of a run."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from corex_shared.models import JobResult

TAIL = 1024
"""Characters of each stream, and of an answer, that the record of a run keeps."""

FINISHED: Literal["finished"] = "finished"
UNREACHABLE: Literal["unreachable"] = "unreachable"
SKIPPED: Literal["skipped"] = "skipped"


class Outcome(Struct, frozen=True):
    """What became of one node; each node of a run has exactly one.

    Attributes:
        node: the node, or `@` and a group, as the run's `nodes` have it.
        status: `finished`: its job has ended; `unreachable`: the node was away, or did not
            answer; `skipped`: nothing was started there.
        result: of its job, where that can be had.
        job: ID of its job; None when nothing was started.
        last_seen: when a node that is away was last seen, in ms since the epoch.
        reason: why it is no success, in one sentence; empty for a success.
    """

    node: str
    status: Literal["finished", "unreachable", "skipped"]
    result: JobResult | None = None
    job: str | None = None
    last_seen: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether its job succeeded."""
        return self.status == FINISHED and self.result is not None and self.result.ok

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure: neither a success nor skipped."""
        return not self.ok and self.status != SKIPPED


def finished(node: str, result: JobResult, why: str = "") -> Outcome:
    """Make the outcome of a job that has ended.

    Args:
        node: as the run names it.
        result: of its job.
        why: it was ended before its time, if it did not succeed.
    """
    reason = "" if result.ok else why or reason_of(result)
    return Outcome(node, FINISHED, result, result.id, reason=reason)


def reason_of(result: JobResult) -> str:
    """Say in one sentence why a result is no success."""
    text = result.critical or (result.data if result.level == 0 else "") or result.stderr
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    what = f"{result.state.value} {result.code}"
    return f"{what}: {lines[-1][:200]}" if lines else what


def cut(outcome: Outcome) -> Outcome:
    """Leave of an outcome what a record keeps; itself if that is all of it."""
    result = outcome.result
    if result is None or (
        max(len(text) for text in (*result.streams, result.data, result.critical)) <= TAIL
    ):
        return outcome
    short = msgspec.structs.replace(
        result,
        # Part of an answer is no answer.
        data=result.data if len(result.data) <= TAIL else "",
        streams=(result.stdout[-TAIL:], result.stderr[-TAIL:]),
        critical=result.critical[:TAIL],
        truncated=True,
    )
    return msgspec.structs.replace(outcome, result=short)
