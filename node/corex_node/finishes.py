"""Ticket and result → the end of a job, as it is written to Redis. Pure."""

from __future__ import annotations

from corex_node.ticket import Ticket
from corex_shared import codec
from corex_shared.finishing import Finish
from corex_shared.models import JobResult, Message
from corex_shared.states import Flag, Level

_HINT_LIMIT = 8 * 1024
"""Results up to this size travel in the inbox; of larger ones it has the ID only."""


def finish_of(ticket: Ticket, result: JobResult, epoch: int) -> Finish:
    """Make the end of a job; its last message has the ticket's next number.

    Args:
        ticket: how the answer goes back.
        result: the result, of the node whose job it was.
        epoch: of the last message, in ns.
    """
    payload = codec.encode(result, ticket.encoding)
    hint = b""
    if ticket.reply_to:
        is_short = len(payload) <= _HINT_LIMIT
        hint = payload if is_short else codec.encode_id(result.id, ticket.encoding)
    to_node_log = bool(ticket.levels)
    message, seq = b"", ticket.seq
    if ticket.streams or to_node_log:
        message = _last_message(ticket, result, epoch)
    return Finish(
        job_id=result.id,
        result=payload,
        state=result.state,
        message=message,
        seq=seq,
        streams=ticket.streams,
        to_node_log=to_node_log,
        reply_to=ticket.reply_to,
        hint=hint,
        unaccepted=ticket.unaccepted,
    )


def _last_message(ticket: Ticket, result: JobResult, epoch: int) -> bytes:
    flags = (Flag.STREAM if ticket.streams else 0) | (Flag.SUCCESS if result.ok else Flag.ERROR)
    message = Message(
        result.id,
        result.node,
        ticket.take_seq(),
        result.level or Level.STDOUT,
        flags,
        result.data,
        epoch,
    )
    return codec.encode(message, ticket.encoding)
