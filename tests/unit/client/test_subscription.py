"""Following a job through its node."""

from __future__ import annotations

from typing import Any

import pytest

from corex.core import Core
from corex.effects import Listen, ReadInbox, Subscribe
from corex.subscription import Subscription
from corex_shared.codec import decode_command
from corex_shared.errors import InvalidIdError, JobFailed, StoreUnavailableError
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState
from tests.unit.client.playing import Clock, make_core, message_of, packed, play, result_of


class _Node:
    """Answers effects: says something, and then how it ended."""

    def __init__(self, core: Core, texts: list[str], **result: Any) -> None:
        self.core = core
        self.texts = texts
        self.result = result
        self.commands: list[tuple[str, Command]] = []

    def __call__(self, effect: Any) -> Any:
        match effect:
            case Subscribe():
                return None
            case Listen():
                job = self.commands[0][1].job_id
                last = len(self.texts)
                said = [message_of(job, at, text) for at, text in enumerate(self.texts)]
                return [packed(m) for m in [*said, message_of(job, last, "{}", flags=3, level=20)]]
            case ReadInbox(waiter, _):
                job = waiter.keys[0]
                self.core.mailbox.put([packed(self._result(job))])
                return None
        return [self._call(*call) for call in effect.calls]

    def _result(self, job: str) -> JobResult:
        if job == self.commands[0][1].job_id:
            return result_of(job, **self.result)
        return result_of(job, data="true", level=20)

    def _call(self, name: Any, key: Any, *arguments: Any) -> Any:
        if name == "RPUSH":
            self.commands += [(key, decode_command(payload)[0]) for payload in arguments]
        return {"RPUSH": 1, "LPOS": None, "LINDEX": None}[name]


@pytest.fixture
def core() -> Core:
    return make_core(Clock())


def test_the_node_is_asked_past_its_other_work_once_somebody_listens(core: Core) -> None:
    node = _Node(core, [])
    played = play(Subscription(core, "n1", "a1", 10).run(), *[node] * 9)
    ((key, command),) = node.commands
    assert key == "corex:{node:n1}:control"
    assert (command.command, command.arguments, command.stream) == (
        "core.subscribe",
        {"id": "a1"},
        True,
    )
    assert isinstance(played.effects[0], Subscribe)
    assert played.effects[0].channels == [core.keys.stream(command.job_id)]


def test_messages_come_in_order_and_the_last_is_the_followers_own(core: Core) -> None:
    played = play(Subscription(core, "n1", "a1", 10).run(), *[_Node(core, ["x", "y"])] * 9)
    assert [message.text for message in played.emitted] == ["x", "y", "{}"]
    assert [message.is_last for message in played.emitted] == [False, False, True]
    assert played.done


def test_a_job_that_the_node_does_not_know_is_an_error(core: Core) -> None:
    node = _Node(core, [], state=JobState.ERROR, code=404, data='"no such job"', level=20)
    with pytest.raises(JobFailed, match="no such job"):
        play(Subscription(core, "n1", "a1", 10).run(), *[node] * 9)


def test_leaving_early_ends_the_job_that_follows(core: Core) -> None:
    node = _Node(core, ["x"])
    subscription = Subscription(core, "n1", "a1", 10)
    plan = subscription.run()
    played = play(plan, *[node] * 2)  # subscribed, and asked
    assert not played.done
    plan.close()
    play(subscription.tidy(), *[node] * 9)
    _, (key, kill) = node.commands
    assert key == "corex:{node:n1}:control"
    assert (kill.command, kill.arguments["id"]) == ("job.kill", node.commands[0][1].job_id)  # type: ignore[index]


def test_after_the_end_there_is_nothing_to_tidy(core: Core) -> None:
    subscription = Subscription(core, "n1", "a1", 10)
    play(subscription.run(), *[_Node(core, [])] * 9)
    assert play(subscription.tidy()).effects == []
    assert play(Subscription(core, "n1", "a1", 10).tidy()).effects == []


def test_an_end_that_cannot_be_told_is_left_to_the_job_itself(core: Core) -> None:
    subscription = Subscription(core, "n1", "a1", 10)
    plan = subscription.run()
    play(plan, None, [1])
    plan.close()
    assert play(subscription.tidy(), StoreUnavailableError("refused")).done


def test_what_can_be_no_job_is_refused_at_once(core: Core) -> None:
    with pytest.raises(InvalidIdError, match="job ID"):
        Subscription(core, "n1", "a b", 10)
    with pytest.raises(ValueError, match="a timeout is a number"):
        Subscription(core, "n1", "a1", -1)
