"""Pushing commands.

Pushes are pipelined, many commands of one list in one RPUSH. When the answer to a push is lost,
it is not known whether the commands arrived. With IDs made here the push is repeated: the node
refuses a second copy as a duplicate, and the client knows to ignore that. With IDs chosen by the
caller it is not repeated, as the caller must know whether *this* push made the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from corex.core import Core
from corex.effects import Plan, Run, Sleep
from corex.mailbox import duplicate_key
from corex.targets import group_of
from corex.ticket import Ticket
from corex_shared.codec import Encoding, decode_command, encode
from corex_shared.errors import DecodeError, StoreUnavailableError
from corex_shared.identifiers import check_id, new_id
from corex_shared.models import Command
from corex_shared.scripts import Argument, Barrier, Step

CHUNK_COMMANDS = 1000
"""Commands in one round trip."""
CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes in one round trip, by which it may be ended sooner."""
BACKOFFS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each repetition of a push."""


def prepare(core: Core, target: str, command: Command, *, control: bool = False) -> Ticket:
    """Check and encode a command; nothing is sent.

    Args:
        core: the client's surroundings.
        target: the node that shall run it, or `@` and the group of which one node shall.
        command: what to run; an ID and a `reply_to` are added if it has none.
        control: use the list of commands that wait for nothing.

    Raises:
        InvalidIdError: the node's ID, or the group's, is not one.
        DecodeError: a field of the command is wrong; the error names it.
        PayloadTooLargeError: the command is larger than a node takes.
    """
    key, node, group = _list_of(core, target, control=control)
    given = command.id is not None
    job = command.id or new_id()
    reply_to = command.reply_to or core.client_id
    if core.encoding is Encoding.JSON:
        command = _without_bytes(command)
    payload = encode(msgspec.structs.replace(command, id=job, reply_to=reply_to), core.encoding)
    decode_command(payload, core.limit)
    if command.queue_scope == "fleet" and command.queue is None:
        raise DecodeError("queue_scope", "fleet needs a queue")
    mail = (job,) if reply_to == core.client_id else ()
    return Ticket(job, node, key, payload, given, bool(command.stream), mail, group=group)


def _list_of(core: Core, target: str, *, control: bool) -> tuple[str, str | None, str]:
    """Find the list of a target; return its key, the node and the group."""
    group = group_of(target)
    if group is None:
        check_id("node", target)
        key = core.keys.control(target) if control else core.keys.commands(target)
        return key, target, ""
    if control:
        raise DecodeError("control", "a group has no list of commands that wait for nothing")
    return core.keys.group_commands(group), None, group


def _without_bytes(command: Command) -> Command:
    """Make the standard input text, as JSON has no bytes.

    Raises:
        DecodeError: it is not UTF-8.
    """
    stdin = (command.arguments or {}).get("stdin")
    if not isinstance(stdin, bytes):
        return command
    try:
        text = stdin.decode()
    except UnicodeDecodeError as error:
        reason = "JSON has no bytes that are not UTF-8; use the MessagePack encoding"
        raise DecodeError("arguments.stdin", reason) from error
    return msgspec.structs.replace(command, arguments={**(command.arguments or {}), "stdin": text})


def send(core: Core, tickets: Sequence[Ticket]) -> Plan[list[Ticket]]:
    """Push prepared commands, those of one list in their order.

    Returns:
        The tickets, each knowing now how to hear of its job.

    Raises:
        StoreUnavailableError: Redis cannot be reached; says what may have been pushed.
        StoreRefusedError: Redis refused.
    """
    sent: list[Ticket] = []
    for chunk in _chunks(tickets):
        try:
            sent.extend((yield from _send_chunk(core, chunk)))
        except StoreUnavailableError as error:
            raise _unsure(error, chunk, len(sent), len(tickets)) from error
    return sent


def _chunks(tickets: Sequence[Ticket]) -> Iterator[Sequence[Ticket]]:
    start, size = 0, 0
    for at, ticket in enumerate(tickets):
        if at > start and (at - start >= CHUNK_COMMANDS or size >= CHUNK_BYTES):
            yield tickets[start:at]
            start, size = at, 0
        size += len(ticket.payload)
    if start < len(tickets):
        yield tickets[start:]


def _send_chunk(core: Core, chunk: Sequence[Ticket]) -> Plan[Sequence[Ticket]]:
    given = [ticket for ticket in chunk if ticket.given]
    used_before = [core.mailbox.note_given(ticket.id, core.clock()) for ticket in given]
    lookups: list[Step] = [
        ("EXISTS", core.keys.result(ticket.id), core.keys.state(ticket.id)) for ticket in given
    ]
    # Where nodes have other servers than jobs, one must not be quicker than the look at its ID.
    calls = [*lookups, Barrier.HERE, *_pushes(chunk)] if given else _pushes(chunk)
    for backoff in () if given else BACKOFFS:
        try:
            yield Run(calls)
        except StoreUnavailableError:
            for ticket in chunk:
                core.mailbox.note_repeated(ticket.id)
            yield Sleep(backoff)
        else:
            return chunk
    replies = yield Run(calls)
    uses = iter(zip(replies, used_before, strict=False))
    return [_reused(core, ticket, *next(uses)) if ticket.given else ticket for ticket in chunk]


def _pushes(chunk: Sequence[Ticket]) -> list[Step]:
    lists: dict[str, list[Argument]] = {}
    for ticket in chunk:
        lists.setdefault(ticket.queue_key, []).append(ticket.payload)
    return [("RPUSH", key, *payloads) for key, payloads in lists.items()]


def _reused(core: Core, ticket: Ticket, in_use: int, used_before: bool) -> Ticket:
    """Prepare for the duplicate that a used ID will be answered with.

    Args:
        core: the client's surroundings.
        ticket: a job whose ID the caller chose.
        in_use: not 0 when another job had the ID when this one was pushed: its result is not ours.
        used_before: this client pushed it before and has not heard of that job yet.
    """
    if not in_use and not used_before:
        return ticket
    core.mailbox.note_reused(ticket.id)
    mail = (duplicate_key(ticket.id),) if ticket.mail else ()
    return msgspec.structs.replace(ticket, mail=mail, key_counts=False)


def _unsure(
    error: StoreUnavailableError, chunk: Sequence[Ticket], before: int, total: int
) -> StoreUnavailableError:
    if total == 1:
        what = f"command {chunk[0].id} may or may not have been pushed"
    else:
        last = before + len(chunk)
        what = (
            f"{before} of {total} commands were pushed, "
            f"numbers {before + 1} to {last} may or may not have been"
        )
    return StoreUnavailableError(f"{error}; {what}")
