"""Asking a node for something, and reading what it answers.

A *question* describes one command: its name, its arguments, and how its answer is read. The
modules of `corex.questions` make them; here one is put to a node. An answer that does not have
the form that was agreed on is a `DecodeError`, whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from corex.core import Core, checked_timeout
from corex.effects import Plan, Run
from corex.results import wait
from corex.submit import prepare, send
from corex.ticket import Ticket
from corex_shared.errors import DecodeError, StoreError, WaitTimeout
from corex_shared.models import Command, JobResult
from corex_shared.states import Level

T = TypeVar("T")

ASK_TIMEOUT = 30.0
"""Seconds to wait for an answer that takes no work, unless told otherwise."""

_PATH = re.compile(r" - at `\$([^`]*)`$")
_NULL = "null"


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked of a node.

    Attributes:
        command: name of the command.
        read: reads its result; raises `JobFailed` or `DecodeError`.
        arguments: of the command; those that are None are left out.
        control: it is short and must not wait behind other commands.
        bulky: its answer is large, and nobody else's: it is taken out of Redis once it was read.
    """

    command: str
    read: Callable[[JobResult], T]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False
    bulky: bool = False

    def prepare(self, core: Core, node: str) -> Ticket:
        """Check and encode the command; nothing is sent.

        Raises:
            DecodeError: an argument has no form on the wire, or is too large.
        """
        arguments = {name: value for name, value in self.arguments.items() if value is not None}
        command = Command(self.command, arguments)
        return prepare(core, node, command, control=self.control)


def reader(kind: type[T]) -> Callable[[JobResult], T]:
    """Make a function that reads an answer of a type; what the type does not know is ignored."""
    decoder = msgspec.json.Decoder(kind)

    def read(result: JobResult) -> T:
        result.check()
        if not result.data or result.level != Level.JSON:
            raise DecodeError("answer", "it is not JSON")
        try:
            return decoder.decode(result.data)
        except msgspec.ValidationError as error:
            text = str(error)
            path = _PATH.search(text)
            raise DecodeError(f"answer{path[1] if path else ''}", _PATH.sub("", text)) from error
        except RecursionError as error:
            raise DecodeError("answer", "nested too deeply") from error
        except ValueError as error:  # also of msgspec: no JSON
            raise DecodeError("answer", f"it is not JSON: {error}") from error

    return read


def read_nothing(result: JobResult) -> None:
    """Read the answer of a command that has none but its success.

    Raises:
        JobFailed: it did not succeed.
        DecodeError: it answered something.
    """
    result.check()
    if result.data not in ("", _NULL):
        raise DecodeError("answer", "none was expected")


def ask(core: Core, node: str, question: Question[T], timeout: float) -> Plan[T]:
    """Put a question to a node. If it is not answered in time it is taken back, where it can be.

    Args:
        core: the client's surroundings.
        node: who is asked.
        question: what.
        timeout: seconds.

    Raises:
        JobFailed: the command did not succeed.
        DecodeError: the answer is not what such a command answers; or an argument cannot be sent.
        WaitTimeout: there is no answer within the time.
        StoreError: Redis cannot be reached or refused.
    """
    seconds = checked_timeout(timeout)
    end = core.clock() + seconds
    (ticket,) = yield from send(core, [question.prepare(core, node)])
    try:
        result = yield from wait(core, ticket, max(0.0, end - core.clock()), fresh=True)
    except WaitTimeout as error:
        with suppress(StoreError):
            yield from take_back([ticket])
        what = f"{question.command} on node {node}: {error.what}"
        raise WaitTimeout(what, seconds) from error
    if question.bulky:
        with suppress(StoreError):
            yield from discard(core, [ticket])
    return read_answer(question, result)


def read_answer(question: Question[T], result: JobResult) -> T:
    """Read the answer to a question.

    Raises:
        JobFailed: the command did not succeed.
        DecodeError: the answer is not what such a command answers; the error names both.
    """
    try:
        return question.read(result)
    except DecodeError as error:
        raise DecodeError(f"{question.command}: {error.field}", error.reason) from error


def take_back(tickets: Sequence[Ticket]) -> Plan[list[Ticket]]:
    """Take commands that no node has claimed off their lists.

    Returns:
        Those that were claimed before.
    """
    removed = yield Run([("LREM", ticket.queue_key, 0, ticket.payload) for ticket in tickets])
    return [ticket for ticket, count in zip(tickets, removed, strict=True) if not count]


def discard(core: Core, tickets: Sequence[Ticket]) -> Plan[None]:
    """Take results out of Redis before their time; their IDs stay in use."""
    yield Run([("UNLINK", core.keys.result(ticket.id)) for ticket in tickets])
