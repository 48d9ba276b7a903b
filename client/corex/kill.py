"""Ending a job.

A command that its node has not claimed gets its result here, as nobody else will write it, and is
taken off the list. A claimed one is ended by its node, which is asked over the list of commands
that wait for nothing. In this order nothing falls between: what is no longer in the list has been
claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from corex.core import Core, Patience
from corex.effects import Plan, Run, Sleep
from corex.gather import as_completed
from corex.results import peek, wait
from corex.submit import prepare, send
from corex.ticket import Ticket
from corex_shared.codec import decode_command, encode
from corex_shared.errors import StoreForbiddenError, WaitTimeout
from corex_shared.finishing import INBOX_TTL_MS, WRITTEN, Finish, finish_call
from corex_shared.models import Command, JobResult, Message
from corex_shared.scripts import Call
from corex_shared.states import CODES, Flag, JobState, Level

RETENTION_MS = 300_000
"""How long a result written here is kept."""

_AGAIN = 0.1
"""Seconds before a node is asked again that did not know the job yet."""
_WHY = "killed before it was started\n"


def kill(core: Core, ticket: Ticket, signal: int, timeout: float) -> Plan[bool]:
    """End a job.

    Args:
        core: the client's surroundings.
        ticket: the job.
        signal: number of the signal its processes get.
        timeout: seconds.

    Returns:
        True when it was withdrawn or its node has sent the signal; False when it has ended
        already or nobody knows it.

    Raises:
        WaitTimeout: its node did not answer in time.
    """
    patience = Patience(core, f"kill of job {ticket.id}", timeout)
    if ticket.payload and (yield from withdraw(core, ticket)):
        return True
    while True:
        node = ticket.node or (yield from _node_of(core, ticket.id))
        if not node and not ticket.group:
            return False
        if (yield from peek(core, ticket.id)) is not None and ticket.key_counts:
            return False
        if node and (yield from _ask(core, node, ticket.id, signal, patience)):
            return True
        # Claimed a moment ago and not in the node's table yet, or given back, or ended.
        if ticket.payload and (yield from withdraw(core, ticket)):
            return True
        is_open = yield from _is_open(core, ticket.id)
        if node and not is_open:
            return False
        if not patience.left:
            if not is_open:  # nor has any node of its group accepted it in all that time
                return False
            raise patience.timeout()
        yield Sleep(min(_AGAIN, patience.left))


def withdraw(core: Core, ticket: Ticket) -> Plan[bool]:
    """Write the result of an unclaimed command and take it off its list: `withdraw_many` of one.

    Returns:
        Whether it was withdrawn.
    """
    return bool((yield from withdraw_many(core, [ticket])))


def withdraw_many(core: Core, tickets: Sequence[Ticket], why: str = _WHY) -> Plan[list[Ticket]]:
    """Write the results of unclaimed commands and take them off their lists.

    In this order nothing is lost if this program ends in between: a node that still claims a
    command finds that it has a result, and does not run it (it answers that the ID is in use, which
    is passed over). A node that has claimed it already
    holds the job, so that no result is written here. One that a node of a group has handed on is
    nobody's.

    Args:
        core: the client's surroundings.
        tickets: the jobs, with their payloads.
        why: the reason that their results tell.

    Returns:
        Those that were withdrawn.

    Raises:
        StoreForbiddenError: this user may not write results.
        StoreError: Redis cannot be reached.
    """
    places = yield Run([("LPOS", ticket.queue_key, ticket.payload) for ticket in tickets])
    found = [ticket for ticket, place in zip(tickets, places, strict=True) if place is not None]
    ends = [_withdrawal(core, ticket, why) for ticket in found]
    calls = [
        finish_call(core.keys, ticket.node or "", core.client_id, RETENTION_MS, [end.finish])
        for ticket, end in zip(found, ends, strict=True)
    ]
    answers = (yield Run(calls)) if calls else []
    written = [
        (ticket, end)
        for ticket, end, (answer,) in zip(found, ends, answers, strict=True)
        if answer == WRITTEN
    ]
    if written:
        for ticket, _ in written:
            core.mailbox.note_withdrawn(ticket.id)
        yield Run([("LREM", ticket.queue_key, 0, ticket.payload) for ticket, _ in written])
        # In a step of its own: the inbox is in another slot of a cluster than the job.
        told: list[Call] = []
        for _, end in written:
            told += [
                ("RPUSH", end.inbox, end.finish.result),
                ("PEXPIRE", end.inbox, INBOX_TTL_MS),
            ]
        yield Run(told)
    return [ticket for ticket, _ in written]


class _Withdrawal(NamedTuple):
    """The end of a command that no node has taken, and the inbox that hears of it."""

    finish: Finish
    inbox: str


def _withdrawal(core: Core, ticket: Ticket, why: str) -> _Withdrawal:
    command, encoding = decode_command(ticket.payload, core.limit)
    node = ticket.node or ""
    result = JobResult(
        id=ticket.id,
        command=command.command,
        node=node,
        state=JobState.KILLED,
        code=CODES[JobState.KILLED],
        critical=why.strip(),
        tags=command.tags or [],
    )
    flags = Flag.ERROR | Flag.STREAM
    epoch = core.now_ms() * 1_000_000
    last = Message(ticket.id, node, 0, Level.WARNING, flags, why, epoch)
    finish = Finish(
        job_id=ticket.id,
        result=encode(result, encoding),
        state=result.state.value,
        message=encode(last, encoding),
        seq=last.seq,
        streams=bool(command.stream),
        unaccepted=f"{core.client_id}/withdrawn",
    )
    return _Withdrawal(finish, core.keys.inbox(command.reply_to or core.client_id))


def _claimer(core: Core, ticket: Ticket, patience: Patience) -> Plan[str]:
    """Withdraw a command, or find the node that has claimed it; empty when none is to be asked."""
    while not (yield from _withdrawn(core, ticket)):
        node = ticket.node or (yield from _node_of(core, ticket.id))
        if node or not patience.left or (yield from peek(core, ticket.id)) is not None:
            return node
        yield Sleep(min(_AGAIN, patience.left))  # a node of its group has not accepted it yet
    return ""


def _withdrawn(core: Core, ticket: Ticket) -> Plan[bool]:
    try:
        return (yield from withdraw(core, ticket))
    except StoreForbiddenError:  # only its node may write its result, once it has claimed it
        return False


def _node_of(core: Core, job: str) -> Plan[str]:
    (node,) = yield Run([("HGET", core.keys.state(job), "node")])
    return node.decode() if node else ""


def _is_open(core: Core, job: str) -> Plan[bool]:
    state, result = yield Run([("EXISTS", core.keys.state(job)), ("EXISTS", core.keys.result(job))])
    return bool(state) and not result


def _ask(core: Core, node: str, job: str, signal: int, patience: Patience) -> Plan[bool]:
    """Ask a node to kill a job.

    Raises:
        WaitTimeout: it did not answer in time.
    """
    command = Command("job.kill", {"id": job, "signal": signal})
    (ticket,) = yield from send(core, [prepare(core, node, command, control=True)])
    try:
        result = yield from wait(core, ticket, patience.left, fresh=True)
    except WaitTimeout as error:
        yield Run([("LREM", ticket.queue_key, 0, ticket.payload)])
        raise patience.timeout() from error
    return result.ok and result.data == "true"


def kill_many(core: Core, tickets: Sequence[Ticket], timeout: float) -> Plan[None]:
    """End jobs of this client, whatever their stage, and see them end.

    Emits `(index, result)` for each as `corex.gather.as_completed` does.

    Args:
        core: the client's surroundings.
        tickets: the jobs.
        timeout: seconds for all of it.

    Raises:
        WaitTimeout: some have not ended yet.
        StoreError: Redis cannot be reached.
    """
    patience = Patience(core, "killed jobs", timeout)
    asks: list[Ticket] = []
    for ticket in tickets:
        node = yield from _claimer(core, ticket, patience)
        if node:
            command = Command("job.kill", {"id": ticket.id, "signal": 15})
            asks.append(prepare(core, node, command, control=True))
    yield from send(core, asks)
    yield from as_completed(core, tickets, patience.left)
