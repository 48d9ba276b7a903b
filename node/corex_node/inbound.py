"""Claimed payloads, read: commands, or what is wrong with them. Pure."""

from __future__ import annotations

from msgspec import Struct

from corex_node.ticket import Source, Ticket, claimed_field
from corex_shared import codec
from corex_shared.codec import Encoding
from corex_shared.errors import DecodeError, PayloadTooLargeError
from corex_shared.models import Command
from corex_shared.states import Stage


class Inbound(Struct, frozen=True):
    """One claimed payload.

    Attributes:
        payload: as it was pushed, or its head.
        size: of the whole in bytes.
        ticket: how its answer goes back.
        command: None when it could not be read.
        error: why not.
        job_id: of the command, or what could be found of it; None when nothing was.
        was: stage at which a predecessor left it, None when it was claimed just now.
    """

    payload: bytes
    size: int
    ticket: Ticket
    command: Command | None
    error: DecodeError | None
    job_id: str | None
    was: Stage | None = None


def read(
    payload: bytes | tuple[bytes, int],
    source: Source,
    number: int,
    limit: int,
    field: str | None = None,
    was: Stage | None = None,
    group: str = "",
) -> Inbound:
    """Read a payload.

    Args:
        payload: the bytes; of one that was cut, its head and its whole size.
        source: list that they came from.
        number: of the claim.
        limit: largest size in bytes.
        field: of the claimed hash, when it is not that of a fresh claim.
        was: see `Inbound`.
        group: whose list it is; empty for the node's own.
    """
    ticket = Ticket(source, number, field or claimed_field(source, number), group=group)
    payload, size = payload if isinstance(payload, tuple) else (payload, len(payload))
    try:
        if size > len(payload):
            raise PayloadTooLargeError(size, limit)
        command, ticket.encoding = codec.decode_command(payload, limit)
    except DecodeError as error:
        job_id, ticket.reply_to = codec.peek_reply(payload)
        if payload[:1] != b"{" and job_id is not None:
            ticket.encoding = Encoding.MSGPACK
        return Inbound(payload, size, ticket, None, error, job_id, was)
    ticket.reply_to = command.reply_to
    ticket.streams = bool(command.stream)
    return Inbound(payload, size, ticket, command, None, command.job_id, was)
