"""Putting one question to many nodes, and telling who did not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from corex.ask import Question
from corex.cli.exits import FAILED, NO_ANSWER
from corex.cli.render import say
from corex_shared.errors import JobFailed

if TYPE_CHECKING:
    from corex.sync import Client

T = TypeVar("T")

ANSWER_TIMEOUT = 5.0
"""Seconds that nodes have to answer unless told otherwise."""


@dataclass(slots=True)
class Answers(Generic[T]):
    """What nodes answered.

    Attributes:
        by_node: node → answer, in the order in which nodes were asked.
        jobs: IDs of the commands that asked.
        code: exit code: 0 when all answered, 3 when none did, else 1.
    """

    by_node: dict[str, T] = field(default_factory=dict)
    jobs: frozenset[str] = frozenset()
    code: int = 0


def ask_nodes(
    client: Client, nodes: Sequence[str], question: Question[T], timeout: float
) -> Answers[T]:
    """Ask all nodes at once; who does not answer is named on stderr.

    Raises:
        StoreError: Redis cannot be reached or refused.
    """
    from corex.survey import Survey

    survey = Survey(client.core, nodes, [question], timeout)
    replies = {reply.node: reply for reply in client.iterate(survey.run())}
    answers: Answers[T] = Answers(jobs=survey.jobs)
    for node in nodes:
        reply = replies.get(node)
        if reply is None:
            say(f"{node}: no answer within {timeout:g} s")
        elif isinstance(reply.error, JobFailed):
            result = reply.error.result
            say(f"{node}: {result.state.value} {result.code}: {result.critical or result.data}")
        elif reply.error is not None:
            say(f"{node}: {reply.error}")
        else:
            answers.by_node[node] = reply.value
    if len(answers.by_node) < len(nodes):
        answers.code = FAILED if answers.by_node else NO_ANSWER
    return answers
