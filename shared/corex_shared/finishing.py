"""The end of a job, as it is written to Redis: by its node, or by a client that withdraws it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from corex_shared.codec import encode_id, encoding_of
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, Spread, script

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
) -> Spread:
    """Make the command that writes the ends of jobs.

    Args:
        keys: of the namespace.
        node: whose jobs they are.
        holder: incarnation, or client, that writes.
        retention_ms: how long results live.
        finishes: the ends; answered in order by `WRITTEN`, `PRESENT` and so on.
    """
    names: list[str] = []
    arguments: list[Argument] = []
    for end in finishes:
        job = end.job_id
        state = keys.state(job)
        inbox = keys.inbox(end.reply_to) if end.reply_to else state
        names += (state, keys.result(job), keys.log(job), inbox)
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
    return Spread(
        script("finish"),
        (holder, retention_ms, keys.node_log(node), INBOX_ENTRIES, INBOX_TTL_MS, node),
        names,
        arguments,
        keys_each=4,
        arguments_each=8,
        elsewhere=(3,),
        hints=partial(_inbox_calls, keys, finishes),
    )


def _inbox_calls(keys: Keys, finishes: Sequence[Finish], answers: Sequence[int]) -> list[Call]:
    """Make the commands that tell senders' inboxes where the script could not.

    Of a result that was there before, only the ID is told, so that its reader fetches it: it is
    this one, if the answer to an earlier try was lost, or another's.
    """
    told: dict[str, list[Argument]] = {}
    for end, answer in zip(finishes, answers, strict=True):
        if end.reply_to and answer in (WRITTEN, PRESENT):
            known = answer == PRESENT
            hint = encode_id(end.job_id, encoding_of(end.result)) if known else end.hint
            told.setdefault(keys.inbox(end.reply_to), []).append(hint)
    calls: list[Call] = []
    for inbox, hints in told.items():
        calls += [
            ("RPUSH", inbox, *hints),
            ("LTRIM", inbox, -INBOX_ENTRIES, -1),
            ("PEXPIRE", inbox, INBOX_TTL_MS),
        ]
    return calls
