"""Asking many nodes at once, within one bounded time.

All questions are pushed in few round trips, past the backlogs of their nodes. Each answer is given
as it comes, so that a node that does not answer holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from corex.ask import Question, discard, read_answer, take_back
from corex.core import Core, checked_timeout
from corex.effects import Effect, Emit, Plan, advance
from corex.gather import as_completed
from corex.submit import send
from corex.ticket import Ticket
from corex_shared.errors import CorexError, StoreError, WaitTimeout
from corex_shared.models import JobResult


@dataclass(frozen=True, slots=True)
class Reply:
    """What one node answered to one question.

    Attributes:
        node: who answered.
        question: what was asked.
        value: the answer; None if there is an error.
        error: why there is none: `JobFailed`, or `DecodeError` when it makes no sense.
    """

    node: str
    question: Question[Any]
    value: Any = None
    error: CorexError | None = None


class Survey:
    """The same questions to each of many nodes.

    Attributes:
        jobs: IDs of the commands that ask, which nodes list among their jobs.
    """

    def __init__(
        self,
        core: Core,
        nodes: Sequence[str],
        questions: Sequence[Question[Any]],
        timeout: float,
    ) -> None:
        """Prepare it; nothing is sent.

        Args:
            core: the client's surroundings.
            nodes: who is asked.
            questions: what each is asked.
            timeout: seconds for all the answers.

        Raises:
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        self._core = core
        self._timeout = checked_timeout(timeout)
        self._asked = [(node, question) for node in nodes for question in questions]
        self._tickets = [question.prepare(core, node) for node, question in self._asked]
        self._open = dict(enumerate(self._tickets))
        self.jobs = frozenset(ticket.id for ticket in self._tickets)

    def run(self) -> Plan[None]:
        """Emit a `Reply` for each answer; what is not answered in time is taken back.

        Raises:
            StoreError: Redis cannot be reached or refused.
        """
        yield from send(self._core, self._tickets)
        with suppress(WaitTimeout):
            answers = as_completed(self._core, self._tickets, self._timeout, fresh=True)
            yield from _converted(answers, self._reply)
        with suppress(StoreError):
            yield from take_back(list(self._open.values()))
        with suppress(StoreError):  # they go by themselves when their time is up
            yield from discard(self._core, self._answered())

    def _reply(self, item: tuple[int, JobResult]) -> Reply:
        index, result = item
        self._open.pop(index, None)
        node, question = self._asked[index]
        try:
            return Reply(node, question, read_answer(question, result))
        except CorexError as error:
            return Reply(node, question, error=error)

    def _answered(self) -> list[Ticket]:
        return [ticket for at, ticket in enumerate(self._tickets) if at not in self._open]


def _converted(plan: Plan[None], convert: Callable[[Any], Any]) -> Plan[None]:
    """Run a plan, with something else in place of each item that it emits."""
    reply: object = None
    failure: Exception | None = None
    try:
        while True:
            try:
                effect: Effect = advance(plan, reply, failure)
            except StopIteration:
                return
            reply = failure = None
            if isinstance(effect, Emit):
                effect = Emit(convert(effect.item))
            try:
                reply = yield effect
            except (StoreError, OSError) as error:
                failure = error
    finally:
        plan.close()
