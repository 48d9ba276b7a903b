"""Messages in order."""

from __future__ import annotations

import pytest

from corex.streams import MessageOrder
from corex_shared.states import Level
from tests.unit.client.playing import message_of


def _texts(order: MessageOrder) -> list[str]:
    return [message.message for message in order.ready()]


def test_messages_in_order_pass_at_once() -> None:
    """The next number is handed out when it comes."""
    order = MessageOrder("a")
    order.add(message_of("a", 0))
    assert _texts(order) == ["0"]
    order.add(message_of("a", 1))
    assert _texts(order) == ["1"]


def test_what_was_seen_is_not_handed_out_again() -> None:
    """A message that comes live and from the log is handed out once."""
    order = MessageOrder("a")
    for _ in range(2):
        order.add(message_of("a", 0))
    assert _texts(order) == ["0"]
    order.add(message_of("a", 0))
    assert _texts(order) == []


def test_a_gap_holds_back_and_is_named() -> None:
    """What comes too early waits, and it is known which are missing."""
    order = MessageOrder("a")
    order.add(message_of("a", 0))
    order.add(message_of("a", 3))
    assert _texts(order) == ["0"]
    assert order.gap == (1, 2)
    order.add(message_of("a", 2))
    assert _texts(order) == []
    order.add(message_of("a", 1))
    assert _texts(order) == ["1", "2", "3"]


@pytest.mark.parametrize("flags", [2, 4, 3, 5])
def test_the_last_message_ends(flags: int) -> None:
    """After the message that says that it is the last nothing is handed out."""
    order = MessageOrder("a")
    order.add(message_of("a", 0, flags=flags))
    order.add(message_of("a", 1))
    assert _texts(order) == ["0"]
    assert order.ended
    order.add(message_of("a", 1))
    assert _texts(order) == []


def test_messages_of_other_jobs_are_not_taken() -> None:
    """Who may publish on a channel may still not speak for another job."""
    order = MessageOrder("a")
    order.add(message_of("b", 0))
    assert _texts(order) == []


@pytest.mark.parametrize(
    "first,text",
    [
        (1, "1 message is no longer in the log of job a\n"),
        (7, "7 messages are no longer in the log of job a\n"),
    ],
)
def test_lost_messages_are_counted(first: int, text: str) -> None:
    """Giving up a gap puts one message of level warning in its place, which says how many."""
    order = MessageOrder("a")
    order.add(message_of("a", first))
    order.give_up_gap()
    notice, message = order.ready()
    assert (notice.message, notice.level, notice.flags) == (text, Level.WARNING, 1)
    assert message.seq == first
    assert order.expected == first + 1


def test_without_a_gap_nothing_is_given_up() -> None:
    """Giving up does nothing when nothing is missing."""
    order = MessageOrder("a")
    order.give_up_gap()
    order.add(message_of("a", 0))
    order.give_up_gap()
    assert _texts(order) == ["0"]
