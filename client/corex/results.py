"""Reading and awaiting results.

The truth is the result key, a list of one. A job of this client is heard of on the inbox, over
one connection for all of them; as a hint may be lost, the key is looked at now and then by the
`Lookout`, and after every loss of the connection. A job of others is waited for on its key, with
a move of the list's one entry onto itself, which leaves it there. One connection does so for one
job at a time; the keys of further ones are left to the lookout.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from corex.core import BLOCK, SLICE, Core, Patience
from corex.effects import Block, Plan, ReadInbox, Run, Sleep, Unserved
from corex.lookout import PACE
from corex.mailbox import Waiter
from corex.ticket import Ticket
from corex_shared.codec import decode_data, decode_result
from corex_shared.errors import StoreRefusedError, StoreUnavailableError
from corex_shared.models import JobResult
from corex_shared.states import Level


def peek(core: Core, job: str) -> Plan[JobResult | None]:
    """Read a job's result, None if there is none (yet, or any more)."""
    (payload,) = yield Run([("LINDEX", core.keys.result(job), 0)])
    return decode_result(payload) if payload else None


def peek_many(core: Core, jobs: Iterable[str]) -> Plan[list[JobResult | None]]:
    """Read the results of many jobs in one round trip."""
    payloads = yield Run([("LINDEX", core.keys.result(job), 0) for job in jobs])
    return [decode_result(payload) if payload else None for payload in payloads]


def wait(core: Core, ticket: Ticket, timeout: float, *, fresh: bool = False) -> Plan[JobResult]:
    """Wait for the result of one job.

    Args:
        core: the client's surroundings.
        ticket: the job.
        timeout: seconds; 0 looks once.
        fresh: it was just submitted, so that the key need not be looked at first.

    Raises:
        WaitTimeout: there is none within the time.
        DecodeError: what is there is no result.
    """
    patience = Patience(core, f"result of job {ticket.id}", timeout)
    waiter = core.mailbox.open(ticket.keys_of_mail)
    core.lookout.watch([ticket], core.clock())
    try:
        if not ticket.mail:
            return (yield from _watch_key(core, ticket, waiter, patience))
        return (yield from _hear(core, ticket, waiter, patience, look=not fresh or not timeout))
    finally:
        core.lookout.unwatch([ticket])
        core.mailbox.close(waiter)


def _hear(
    core: Core, ticket: Ticket, waiter: Waiter, patience: Patience, *, look: bool
) -> Plan[JobResult]:
    while True:
        try:
            result = yield from _take(core, ticket, waiter, look=look)
            if result is not None:
                return result
            if not patience.left:
                raise patience.timeout()
            yield ReadInbox(waiter, min(SLICE, patience.left))
            patience.succeeded()
            look = not patience.left
        except StoreUnavailableError as error:
            yield patience.failed(error)
            look = True


def _take(core: Core, ticket: Ticket, waiter: Waiter, *, look: bool) -> Plan[JobResult | None]:
    """Take the result out of the mail, or look at its key: if asked to, or if the mail says so."""
    for mail in waiter.take():
        result = mail.result or (yield from peek(core, ticket.id))
        if result is not None:
            return result
    return (yield from peek(core, ticket.id)) if look and ticket.key_counts else None


def _watch_key(core: Core, ticket: Ticket, waiter: Waiter, patience: Patience) -> Plan[JobResult]:
    look, may_move = True, True
    while True:
        try:
            result = yield from _take(core, ticket, waiter, look=look)
            if result is not None:
                return result
            patience.succeeded()
            left = patience.left
            if not left:
                raise patience.timeout()
            payload: Any = Unserved.BUSY
            if may_move:
                try:
                    payload = yield _move(core, ticket, max(0.01, min(BLOCK, left)))
                except StoreRefusedError:  # a move is a write, and this user may only read
                    may_move = False
            if payload is Unserved.BUSY:
                heard = yield from listen(waiter, min(SLICE, left))
                look = not (heard and patience.left)
            elif payload:
                return decode_result(payload)
            else:
                look = True
        except StoreUnavailableError as error:
            yield patience.failed(error)
            look = True


def _move(core: Core, ticket: Ticket, seconds: float) -> Block:
    key = core.keys.result(ticket.id)
    return Block(("BLMOVE", key, key, "LEFT", "LEFT", f"{seconds:.3f}"), seconds)


def listen(waiter: Waiter, seconds: float) -> Plan[bool]:
    """Wait for what the lookout finds about jobs of others.

    Returns:
        Whether anything can be heard; False after a second for a user who may not read an inbox.
    """
    try:
        yield ReadInbox(waiter, seconds)
    except StoreRefusedError:
        yield Sleep(min(PACE, seconds))
        return False
    return True


def answer(result: JobResult) -> object:
    """Read what a command answered.

    Returns:
        The value when it answered in JSON, the text when in another form, None when it had no
        answer (a process, whose output is in `streams`).

    Raises:
        JobFailed: it did not succeed.
        DecodeError: it says that it is JSON and is not.
    """
    result.check()
    if not result.data:
        return None
    return decode_data(result.data) if result.level == Level.JSON else result.data
