"""The end of a job, as it is written to Redis: by its node, or by a client that withdraws it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

INBOX_ENTRIES = 100_000
"""Entries of an inbox; the oldest of more are dropped, since the result key is the truth."""
INBOX_TTL_MS = 3_600_000
"""When an inbox that nobody reads goes, in ms."""

WRITTEN, PRESENT, STALE, REFUSED, TAKEN = 1, 0, -1, -2, -3
"""What becomes of an end: see lua/finish.lua."""


class Finish(Struct, frozen=True):
    """A job's end, ready to be written; all payloads encoded.

    Attributes:
        job_id: whose.
        result: the result.
        state: its state.
        message: the last message, b"" for none.
        seq: of the message.
        streams: whether the job's log and channel get the message.
        to_node_log: whether the node's log channel does.
        reply_to: client whose inbox hears of it, None for nobody.
        hint: what the inbox hears.
        unaccepted: name of the claim, if the writer has not accepted the job.
    """

    job_id: str
    result: bytes
    state: str
    message: bytes = b""
    seq: int = 0
    streams: bool = False
    to_node_log: bool = False
    reply_to: str | None = None
    hint: bytes = b""
    unaccepted: str = ""


def finish_call(
    keys: Keys, node: str, holder: str, retention_ms: int, finishes: Sequence[Finish]
) -> Call:
    """Make the command that writes the ends of jobs.

    Args:
        keys: of the namespace.
        node: whose jobs they are.
        holder: incarnation, or client, that writes.
        retention_ms: how long results live.
        finishes: the ends; answered in order by `WRITTEN`, `PRESENT` and so on.
    """
    names: list[str] = []
    arguments: list[Argument] = [
        holder,
        retention_ms,
        keys.node_log(node),
        INBOX_ENTRIES,
        INBOX_TTL_MS,
        node,
    ]
    for end in finishes:
        job = end.job_id
        inbox = keys.inbox(end.reply_to) if end.reply_to else ""
        names += (keys.state(job), keys.result(job), keys.log(job), inbox)
        arguments += (
            end.result,
            end.state,
            end.hint,
            end.message,
            end.seq,
            keys.stream(job) if end.streams else "",
            int(end.to_node_log),
            end.unaccepted,
        )
    return script("finish").call(names, arguments)
