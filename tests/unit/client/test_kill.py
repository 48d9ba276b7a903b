"""Ending jobs."""

from __future__ import annotations

from typing import Any

import pytest

from corex.core import Core
from corex.effects import ReadInbox, Run
from corex.kill import kill, kill_many
from corex.submit import prepare
from corex.ticket import Ticket
from corex_shared.codec import decode_command, decode_message, decode_result
from corex_shared.errors import WaitTimeout
from corex_shared.models import Command
from corex_shared.scripts import whole
from corex_shared.states import JobState
from tests.unit.client.playing import Clock, make_core, packed, play, result_of


def _job(core: Core, **fields: Any) -> Ticket:
    return prepare(core, "n1", Command("bash", {"script": "x"}, tags=["t"], **fields))


class _Node:
    """Answers what the plan asks of Redis and of a node that knows a job, or does not."""

    def __init__(self, core: Core, *, knows: bool = True, has_result: bool = False) -> None:
        self.core = core
        self.knows = knows
        self.has_result = has_result
        self.asked: list[Command] = []

    def __call__(self, effect: Run | ReadInbox) -> Any:
        if isinstance(effect, ReadInbox):
            job = effect.waiter.keys[0]
            data = "true" if self.knows else "false"
            self.core.mailbox.put([packed(result_of(job, data=data, level=20))])
            return None
        return [self._reply(call) for call in effect.calls]

    def _reply(self, call: Any) -> Any:
        if call[0] == "RPUSH" and call[1].endswith(":control"):
            self.asked += [decode_command(payload)[0] for payload in call[2:]]
            return 1
        return {
            "LPOS": None,
            "LREM": 0,
            "HGET": b"n1",
            "LINDEX": packed(result_of("a1")) if self.has_result else None,
            "EXISTS": 0,
        }[call[0]]


def test_an_unclaimed_command_is_withdrawn() -> None:
    """What is still in the list gets its result here, and only then is taken off it."""
    core = make_core()
    ticket = _job(core, stream=True)
    played = play(kill(core, ticket, 15, 10), [0], [[1]], [1], [1, 1])
    assert played.value is True
    look, finish, remove, tell = played.effects
    assert look == Run([("LPOS", ticket.queue_key, ticket.payload)])
    assert remove == Run([("LREM", ticket.queue_key, 0, ticket.payload)])
    script: Any = whole(finish.calls[0])
    assert script[0] == "EVALSHA"
    assert script[3:5] == (f"corex:{{job:{ticket.id}}}:state", f"corex:{{job:{ticket.id}}}:result")
    assert script[7] == "me"  # who writes: no node holds the job
    result = decode_result(script[13])
    assert (result.id, result.node, result.state, result.code) == (
        ticket.id,
        "n1",
        JobState.KILLED,
        499,
    )
    assert result.tags == ["t"]
    message = decode_message(script[16])
    assert message.is_last
    assert message.seq == 0
    assert tell.calls[0] == ("RPUSH", "corex:{client:me}:inbox", script[13])


def test_a_node_that_claims_what_is_withdrawn_does_not_make_it_a_duplicate() -> None:
    """It has taken the command off the list just before, and answers before the result is told."""
    core = make_core()
    ticket = _job(core)
    duplicate = packed(result_of(ticket.id, JobState.DUPLICATE_ID))

    def answered(_: Any) -> list[int]:
        core.mailbox.put([duplicate])
        return [0]

    assert play(kill(core, ticket, 15, 10), [0], [[1]], answered, [1, 1]).value is True
    assert not core.mailbox.open(ticket.keys_of_mail).ready


def test_a_withdrawn_job_without_output_has_no_channel() -> None:
    """Nothing is published for a job that asked for no stream."""
    core = make_core()
    played = play(kill(core, _job(core), 15, 10), [0], [[1]], [1], [1, 1])
    assert whole(played.effects[1].calls[0])[18] == ""


def test_a_command_that_was_claimed_meanwhile_is_not_withdrawn() -> None:
    """A node that holds the job by now is asked instead: no result is written over its head."""
    core = make_core()
    node = _Node(core)
    played = play(kill(core, _job(core), 15, 10), [0], [[-1]], *[node] * 9)
    assert played.value is True
    assert node.asked


def test_a_claimed_job_is_killed_by_its_node() -> None:
    """The node is asked on its control list, with the signal."""
    core = make_core()
    ticket = _job(core)
    node = _Node(core)
    assert play(kill(core, ticket, 9, 10), *[node] * 9).value is True
    (ask,) = node.asked
    assert (ask.command, ask.arguments) == ("job.kill", {"id": ticket.id, "signal": 9})


def test_the_node_of_a_job_of_others_is_found() -> None:
    """A job known by its ID only is looked up for its node."""
    core = make_core()
    node = _Node(core)
    assert play(kill(core, Ticket("a1"), 15, 10), *[node] * 9).value is True
    assert node.asked


def test_a_finished_job_is_not_killed() -> None:
    """The node of a job that has a result is not bothered."""
    core = make_core()
    node = _Node(core, has_result=True)
    assert play(kill(core, Ticket("a1"), 15, 10), *[node] * 9).value is False
    assert not node.asked


def test_an_unknown_job_is_not_killed() -> None:
    """A job that nobody knows has no node to ask."""
    assert play(kill(make_core(), Ticket("a1"), 15, 10), [None]).value is False


def test_a_node_that_does_not_know_the_job() -> None:
    """When the node says no and the job is open nowhere, it was not killed."""
    core = make_core()
    assert play(kill(core, _job(core), 15, 10), *[_Node(core, knows=False)] * 9).value is False


def test_a_node_that_does_not_answer() -> None:
    """The wait for its answer is bounded, and the question is taken back."""
    clock = Clock()
    core = make_core(clock)

    asked: list[Any] = []

    def silent(effect: Any) -> Any:
        asked.append(effect)
        if isinstance(effect, ReadInbox):
            clock.now += effect.seconds
            return None
        return [
            {"LPOS": None, "LREM": 0, "LINDEX": None, "RPUSH": 1}[call[0]] for call in effect.calls
        ]

    ticket = _job(core)
    plan = kill(core, ticket, 15, 3)
    with pytest.raises(WaitTimeout, match=f"kill of job {ticket.id}: not within 3 s"):
        play(plan, *[silent] * 20)
    assert asked[-1].calls[0][:2] == ("LREM", "corex:{node:n1}:control")


def test_many_jobs_are_ended_together() -> None:
    """Unclaimed ones are withdrawn, the others' nodes are asked in one push; all are awaited."""
    core = make_core()
    waiting, running = _job(core), _job(core)
    results = [
        packed(result_of(waiting.id, JobState.KILLED, code=499)),
        packed(result_of(running.id, JobState.KILLED, code=499)),
    ]
    plan = kill_many(core, [waiting, running], 5)
    played = play(plan, [0], [[1]], [1], [1, 1], [None], [1], results)
    assert sorted(index for index, _ in played.emitted) == [0, 1]
    assert played.done


def _group_job(core: Core) -> Ticket:
    return prepare(core, "@build", Command("bash", {"script": "x"}))


def test_a_group_s_command_that_no_node_has_accepted_yet_is_looked_for_again() -> None:
    """Between its list and the state of its job it is in nobody's sight for a moment."""
    core = make_core()
    ticket = _group_job(core)
    nowhere = ([None], [None], [None], [0, 0])  # node, result, list, state and result
    asked: list[Any] = []

    def note(effect: Run) -> list[int]:
        asked.extend(effect.calls)
        return [1]

    def answer(effect: ReadInbox) -> None:
        job = effect.waiter.keys[0]
        core.mailbox.put([packed(result_of(job, data="true", level=20))])

    played = play(kill(core, ticket, 15, 10), [None], *nowhere, [b"n2"], [None], note, answer)
    assert played.value is True
    assert asked[0][:2] == ("RPUSH", "corex:{node:n2}:control")


def test_a_group_s_command_that_is_never_found_is_nobody_s() -> None:
    """It has ended long ago."""
    core = make_core(clock := Clock())
    nowhere = ([None], [None], [None], [0, 0])
    played = play(kill(core, _group_job(core), 15, 2), [None], *nowhere * 50, clock=clock)
    assert played.value is False


def test_group_commands_are_ended_together_with_others() -> None:
    """One that a node has claimed meanwhile is asked of that node."""
    core = make_core()
    tickets = [_group_job(core), _group_job(core)]
    results = [packed(result_of(ticket.id, JobState.KILLED, code=499)) for ticket in tickets]
    plan = kill_many(core, tickets, 5)
    played = play(plan, [0], [[1]], [1], [1, 1], [None], [b"n2"], [1], results)
    assert played.done
    (push,) = played.effects[6].calls
    assert push[:2] == ("RPUSH", "corex:{node:n2}:control")
