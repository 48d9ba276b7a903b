"""Pushing commands."""

from __future__ import annotations

from typing import Any

import pytest

from corex.core import Core
from corex.effects import Run, Sleep
from corex.mailbox import duplicate_key
from corex.submit import BACKOFFS, CHUNK_BYTES, CHUNK_COMMANDS, prepare, send
from corex.ticket import Ticket
from corex_shared.codec import Encoding, decode_command, encoding_of
from corex_shared.errors import (
    DecodeError,
    InvalidIdError,
    PayloadTooLargeError,
    StoreRefusedError,
    StoreUnavailableError,
)
from corex_shared.models import Command
from corex_shared.states import JobState
from tests.unit.client.playing import make_core, packed, play, result_of

GONE = StoreUnavailableError("gone")


def _tickets(core: Core, count: int, node: str = "n1") -> list[Ticket]:
    return [prepare(core, node, Command("core.ping")) for _ in range(count)]


def test_a_command_gets_an_id_and_a_sender() -> None:
    """What the caller left out is added; nothing else changes."""
    ticket = prepare(make_core(), "n1", Command("bash", {"script": "x"}, queue="q", stream=True))
    command, encoding = decode_command(ticket.payload)
    assert encoding is Encoding.MSGPACK
    assert command.id == ticket.id
    assert command.reply_to == "me"
    assert (command.command, command.arguments, command.queue) == ("bash", {"script": "x"}, "q")
    assert (ticket.node, ticket.queue_key) == ("n1", "corex:{node:n1}:commands")
    assert (ticket.mail, ticket.given, ticket.streams) == ((ticket.id,), False, True)


def test_the_callers_id_and_sender_are_kept() -> None:
    """A result that goes to another client's inbox is not awaited on ours."""
    ticket = prepare(make_core(), "n1", Command("core.ping", id="a1", reply_to="other"))
    assert decode_command(ticket.payload)[0].reply_to == "other"
    assert (ticket.id, ticket.given, ticket.mail) == ("a1", True, ())


def test_control_commands_have_their_own_list() -> None:
    """What must wait for nothing goes to the control list."""
    ticket = prepare(make_core(), "n1", Command("core.ping"), control=True)
    assert ticket.queue_key == "corex:{node:n1}:control"


def test_json_is_written_when_asked_for() -> None:
    """Commands are JSON objects with `encoding="json"`; text stdin may be given as bytes."""
    core = make_core(encoding=Encoding.JSON)
    ticket = prepare(core, "n1", Command("bash", {"script": "cat", "stdin": "ü".encode()}))
    assert encoding_of(ticket.payload) is Encoding.JSON
    assert decode_command(ticket.payload)[0].arguments == {"script": "cat", "stdin": "ü"}


def test_json_has_no_bytes() -> None:
    """Binary stdin in JSON is refused instead of being sent as something else."""
    with pytest.raises(DecodeError, match=r"arguments.stdin.*MessagePack"):
        prepare(make_core(encoding=Encoding.JSON), "n1", Command("bash", {"stdin": b"\xff"}))


@pytest.mark.parametrize(
    "fields,name",
    [
        ({"command": ""}, "command"),
        ({"id": "a b"}, "id"),
        ({"queue": "../q"}, "queue"),
        ({"max_time": -1}, "max_time"),
        ({"grace": float("nan")}, "grace"),
        ({"max_restart": 1.5}, "max_restart"),
        ({"on_lost": "maybe"}, "on_lost"),
        ({"tags": "abc"}, "tags"),
        ({"log_levels": [300]}, "log_levels"),
        ({"arguments": {"x": object()}}, "arguments"),
        ({"reply_to": "{x}"}, "reply_to"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], name: str) -> None:
    """Wrong values are found before anything is sent, and the error names the field."""
    with pytest.raises(DecodeError) as caught:
        prepare(make_core(), "n1", Command(**{"command": "core.ping", **fields}))
    assert caught.value.field.startswith(name)


def test_the_fleet_scope_needs_a_queue() -> None:
    """As a node would say, and before anything is pushed; the node's own scope needs none."""
    with pytest.raises(DecodeError, match="queue_scope: fleet needs a queue") as caught:
        prepare(make_core(), "n1", Command("core.ping", queue_scope="fleet"))
    assert caught.value.field == "queue_scope"
    assert prepare(make_core(), "n1", Command("core.ping", queue_scope="node")).payload
    assert prepare(make_core(), "n1", Command("core.ping", queue="q", queue_scope="fleet")).payload


def test_a_wrong_node_is_refused() -> None:
    """A node ID that would break out of its key is refused."""
    with pytest.raises(InvalidIdError):
        prepare(make_core(), "a}:x", Command("core.ping"))


def test_a_large_command_is_refused() -> None:
    """More than a node takes is not even sent."""
    with pytest.raises(PayloadTooLargeError, match="the limit is 1000"):
        prepare(make_core(limit=1000), "n1", Command("bash", {"script": "x" * 1000}))


def test_commands_of_one_list_share_a_push() -> None:
    """One RPUSH a list carries its commands in their order."""
    core = make_core()
    a, b, c = (prepare(core, node, Command("core.ping")) for node in ("n1", "n2", "n1"))
    played = play(send(core, [a, b, c]), [1, 1])
    assert played.value == [a, b, c]
    assert played.effects == [
        Run(
            [
                ("RPUSH", "corex:{node:n1}:commands", a.payload, c.payload),
                ("RPUSH", "corex:{node:n2}:commands", b.payload),
            ]
        )
    ]


def test_nothing_is_pushed_for_nothing() -> None:
    """An empty list costs no round trip."""
    assert play(send(make_core(), [])).effects == []


def test_many_commands_are_cut_into_chunks() -> None:
    """A round trip carries a bounded number of commands."""
    core = make_core()
    played = play(send(core, _tickets(core, CHUNK_COMMANDS + 1)), [1], [2])
    assert [len(effect.calls[0]) - 2 for effect in played.effects] == [CHUNK_COMMANDS, 1]


def test_large_commands_are_cut_into_chunks() -> None:
    """A round trip carries a bounded number of bytes."""
    core = make_core()
    size = 1_000_000
    ticket = prepare(core, "n1", Command("bash", {"script": "x" * size}))
    played = play(send(core, [ticket] * 12), [1], [2])
    most = CHUNK_BYTES // size + 1
    assert [len(effect.calls[0]) - 2 for effect in played.effects] == [most, 12 - most]


def test_a_push_with_our_ids_is_repeated() -> None:
    """When the answer is lost the same push is made again, after a growing pause."""
    core = make_core()
    (ticket,) = _tickets(core, 1)
    played = play(send(core, [ticket]), GONE, GONE, [1])
    assert played.value == [ticket]
    first, pause, second, longer, third = played.effects
    assert first == second == third
    assert (pause, longer) == (Sleep(BACKOFFS[0]), Sleep(BACKOFFS[1]))


def test_the_duplicate_of_a_repeated_push_is_ignored() -> None:
    """After a repeated push the node's refusal of the second copy is no result."""
    core = make_core()
    (ticket,) = _tickets(core, 1)
    play(send(core, [ticket]), GONE, [1])
    waiter = core.mailbox.open(ticket.mail)
    core.mailbox.put([packed(result_of(ticket.id, JobState.DUPLICATE_ID))])
    assert not waiter.ready


def test_a_push_is_not_repeated_for_ever() -> None:
    """After some tries the error leaves, saying that the command may have arrived."""
    core = make_core()
    (ticket,) = _tickets(core, 1)
    with pytest.raises(StoreUnavailableError, match=f"{ticket.id} may or may not have been"):
        play(send(core, [ticket]), *[GONE] * (len(BACKOFFS) + 1))


def test_a_push_with_the_callers_id_is_not_repeated() -> None:
    """With a chosen ID a lost answer is told at once: the caller must decide."""
    core = make_core()
    ticket = prepare(core, "n1", Command("core.ping", id="a1"))
    with pytest.raises(StoreUnavailableError, match="command a1 may or may not have been pushed"):
        play(send(core, [ticket]), GONE)


def test_an_interrupted_batch_says_how_far_it_came() -> None:
    """The error of a batch tells which commands were pushed and which are unsure."""
    core = make_core()
    tickets = _tickets(core, CHUNK_COMMANDS)
    given = prepare(core, "n1", Command("core.ping", id="a1"))
    with pytest.raises(StoreUnavailableError, match=r"1000 of 1001 .* 1001 to 1001 may"):
        play(send(core, [*tickets, given]), [1], GONE)


def test_a_refusal_leaves_at_once() -> None:
    """An answer of Redis that says no is not repeated."""
    core = make_core()
    with pytest.raises(StoreRefusedError):
        play(send(core, _tickets(core, 1)), StoreRefusedError("WRONGTYPE"))


def test_a_chosen_id_that_is_free() -> None:
    """A chosen ID is looked up in the same round trip; if it is free its key speaks of our job."""
    core = make_core()
    ticket = prepare(core, "n1", Command("core.ping", id="a1"))
    played = play(send(core, [ticket]), [0, 1])
    lookup = played.effects[0].calls[0]
    assert lookup == ("EXISTS", "corex:{job:a1}:result", "corex:{job:a1}:state")
    assert played.value == [ticket]


def test_a_chosen_id_that_is_in_use() -> None:
    """The result key of a used ID is another job's: only the inbox tells of ours."""
    core = make_core()
    ticket = prepare(core, "n1", Command("core.ping", id="a1"))
    (sent,) = play(send(core, [ticket]), [1, 1]).value
    assert (sent.mail, sent.key_counts) == ((duplicate_key("a1"),), False)


def test_a_chosen_id_that_waits_in_the_list() -> None:
    """An ID that this client pushed a moment ago is in use before any node has taken it."""
    core = make_core()
    ticket = prepare(core, "n1", Command("core.ping", id="a1"))
    (first,) = play(send(core, [ticket]), [0, 1]).value
    (second,) = play(send(core, [ticket]), [0, 2]).value
    assert first.key_counts
    assert (second.mail, second.key_counts) == ((duplicate_key("a1"),), False)
