"""Where a job is."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from corex.core import Core
from corex.effects import Plan, Run
from corex.ticket import Ticket
from corex_shared.codec import decode_result
from corex_shared.states import JobState, Stage

UNKNOWN = "unknown"
"""Stage of a job that nobody knows (any more)."""
QUEUED = "queued"
"""Stage of a job whose command waits in the list of its node or group, unclaimed."""


class JobStatus(Struct, frozen=True):
    """What is known of a job.

    Attributes:
        id: the job ID.
        stage: `queued` (in the list of its node or group), `claimed`, `waiting` (for its queue or
            its next run), `running`, `finished`, or `unknown`.
        node: the node that has it, empty when not known.
        state: how it ended; None before.
        claimed: when its node took it, in ms since the epoch; 0 when not known.
        finished: when it ended, in ms since the epoch; 0 when not known.
    """

    id: str
    stage: str
    node: str = ""
    state: JobState | None = None
    claimed: int = 0
    finished: int = 0


def read_status(core: Core, ticket: Ticket) -> Plan[JobStatus]:
    """Look where a job is."""
    keys = core.keys
    fields, payload = yield Run(
        [("HGETALL", keys.state(ticket.id)), ("LINDEX", keys.result(ticket.id), 0)]
    )
    known = {key.decode(): value.decode(errors="replace") for key, value in fields.items()}
    node = known.get("node") or ticket.node or ""
    claimed, finished = _ms(known.get("claimed")), _ms(known.get("finished"))
    if payload:
        result = decode_result(payload)
        return JobStatus(
            ticket.id, Stage.FINISHED.value, result.node or node, result.state, claimed, finished
        )
    if known:
        stage = known.get("stage", Stage.CLAIMED.value)
        return JobStatus(ticket.id, stage, node, None, claimed, finished)
    if ticket.payload:
        (position,) = yield Run([("LPOS", ticket.queue_key, ticket.payload)])
        if position is not None:
            return JobStatus(ticket.id, QUEUED, node)
    return JobStatus(ticket.id, UNKNOWN, node)


def _ms(text: Any) -> int:
    return int(text) if text and text.isdigit() else 0
