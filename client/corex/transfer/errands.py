"""Asking one node many things, whatever happens to the answers on their way.

All that is asked here may be done twice, so a command whose answer is lost is pushed again: its
agent died while it ran, or Redis lost its data, or the node said "not now". Redis may be away
meanwhile. All of it within one bounded wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from corex.ask import Question, discard, read_answer, take_back
from corex.core import SLICE, Core, Patience
from corex.effects import Plan
from corex.results import wait
from corex.status import UNKNOWN, read_status
from corex.submit import send
from corex.ticket import Ticket
from corex_shared.errors import JobFailed, StoreError, StoreUnavailableError, WaitTimeout
from corex_shared.models import JobResult
from corex_shared.states import JobState

T = TypeVar("T")

UNAVAILABLE = 503
"""Code of "not now", and of a command whose agent died."""

_LOOKS = 2
"""How often in turn nobody must know of a command until it counts as lost: there is a moment
between its list and its node's table."""
_DISCARD = 8
"""Results that are taken out of Redis together."""


class Errands:
    """What one transfer asks of its node.

    Tasks: push commands; wait for results, and find out that one will never come; take large
    results out of Redis; take back what was not answered.
    """

    def __init__(self, core: Core, node: str, patience: Patience) -> None:
        """Begin.

        Args:
            core: the client's surroundings.
            node: who is asked.
            patience: how long all of it may take.
        """
        self._core = core
        self._node = node
        self._patience = patience
        self._open: dict[str, Ticket] = {}
        self._read: list[Ticket] = []

    def push(self, questions: Sequence[Question[Any]]) -> Plan[list[Ticket]]:
        """Put questions, in one round trip.

        Raises:
            DecodeError: an argument has no form on the wire, or is too large.
            WaitTimeout: the time is up, or Redis is away for longer than that.
            StoreRefusedError: Redis refused.
        """
        tickets = [self.prepare(question) for question in questions]
        yield from self.send(tickets)
        return tickets

    def prepare(self, question: Question[Any]) -> Ticket:
        """Make the command of a question; from here on it may be under way."""
        ticket = question.prepare(self._core, self._node)
        self._open[ticket.id] = ticket
        return ticket

    def send(self, tickets: Sequence[Ticket]) -> Plan[None]:
        """Push commands that were prepared. See `push`."""
        while self._patience.left:
            try:
                yield from send(self._core, tickets)
            except StoreUnavailableError as error:
                # Again under the same IDs: a node takes the second copy for a duplicate.
                yield self._patience.failed(error)
            else:
                return
        raise self._patience.timeout()

    def outcome(self, ticket: Ticket) -> Plan[JobResult | None]:
        """Wait for a result.

        Returns:
            The result, or None when the command has to be pushed again.

        Raises:
            WaitTimeout: there is none within the time.
        """
        unknown = 0
        fresh = True
        while unknown < _LOOKS:
            try:
                pause = min(SLICE, self._patience.left)
                result = yield from wait(self._core, ticket, pause, fresh=fresh)
            except WaitTimeout as error:
                if not self._patience.left:
                    raise self._patience.timeout() from error
                fresh = False
                try:
                    status = yield from read_status(self._core, ticket)
                    unknown = unknown + 1 if status.stage == UNKNOWN else 0
                except StoreUnavailableError as failure:
                    yield self._patience.failed(failure)
            else:
                self._open.pop(ticket.id, None)
                lost = result.state is JobState.LOST or result.code == UNAVAILABLE
                return None if lost else result
        self._open.pop(ticket.id, None)
        return None

    def insist(self, question: Question[T]) -> Plan[T]:
        """Put a question until it is answered.

        Raises:
            JobFailed: the command did not succeed.
            DecodeError: the answer is not what such a command answers.
            WaitTimeout: there is no answer within the time.
        """
        while True:
            (ticket,) = yield from self.push([question])
            result = yield from self.outcome(ticket)
            if result is not None:
                self._patience.succeeded()
                return read_answer(question, result)
            yield self._patience.again()

    def discard(self, ticket: Ticket) -> Plan[None]:
        """Have a result that was read taken out of Redis, soon."""
        self._read.append(ticket)
        if len(self._read) >= _DISCARD:
            yield from self._discard_all()

    def _discard_all(self) -> Plan[None]:
        read, self._read = self._read, []
        with suppress(StoreError):  # they go by themselves when their time is up
            yield from discard(self._core, read)

    def give_up(self) -> Plan[list[Ticket]]:
        """Take back what was not answered.

        Returns:
            What the node has claimed already.

        Raises:
            StoreError: Redis cannot be reached.
        """
        tickets, self._open = list(self._open.values()), {}
        yield from self._discard_all()
        return (yield from take_back(tickets))


def refused_with(error: JobFailed, code: int) -> bool:
    """Whether a node refused with a code."""
    return error.result.state is JobState.ERROR and error.result.code == code
