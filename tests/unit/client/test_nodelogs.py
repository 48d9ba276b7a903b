"""Following what nodes log."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from corex.core import Core
from corex.effects import Listen, Sleep, Subscribe
from corex.nodelogs import follow_nodes
from corex.streams import Gap
from corex_shared.errors import StoreForbiddenError, StoreUnavailableError, WaitTimeout
from tests.unit.client.playing import Clock, make_core, message_of, packed, play

GONE = StoreUnavailableError("gone")


def test_patterns_are_those_of_redis() -> None:
    """A shell negates a set by another sign than Redis."""
    played = play(follow_nodes(make_core(), ["web-*", "[!a]?"], 60))
    assert played.effects == [Subscribe(["corex:log:web-*", "corex:log:[^a]?"], patterns=True)]


def test_a_user_who_may_only_hear_all_nodes_is_given_those_that_are_meant() -> None:
    """Redis refuses every pattern that its rights do not name word for word."""
    plan = follow_nodes(make_core(), ["web-*", "[!a]1"], 60)
    heard = [replace(message_of("a", 0), node=node) for node in ("web-1", "db-1", "a1", "b1")]
    played = play(plan, StoreForbiddenError("no"), None, [*map(packed, heard)])
    assert played.effects[:2] == [
        Subscribe(["corex:log:web-*", "corex:log:[^a]1"], patterns=True),
        Subscribe(["corex:log:*"], patterns=True),
    ]
    assert [message.node for message in played.emitted] == ["web-1", "b1"]


def test_a_user_who_may_hear_no_node_is_told_so() -> None:
    """After every node was asked for."""
    no = StoreForbiddenError("no")
    with pytest.raises(StoreForbiddenError):
        play(follow_nodes(make_core(), ["web-*"], 60), no, no)


def test_levels_are_chosen_and_junk_passed_over() -> None:
    """Only the levels that are wanted are given."""
    plan = follow_nodes(make_core(), ["*"], 60, {2, 9})
    messages = [message_of("a", seq, level=level) for seq, level in enumerate((2, 7, 9))]
    played = play(plan, None, [b"junk", *map(packed, messages)])
    assert [message.level for message in played.emitted] == [2, 9]


def test_jumps_are_no_gaps() -> None:
    """A job's messages of other levels are not published: nothing is missing for that."""
    plan = follow_nodes(make_core(), ["*"], 60)
    played = play(plan, None, [packed(message_of("a", seq)) for seq in (0, 5, 9)])
    assert [message.seq for message in played.emitted] == [0, 5, 9]


def test_what_may_have_been_missed_is_told() -> None:
    """After a lost connection it is said that there was one, and for each job how many messages
    may be missing at most; nothing of jobs that were not heard of before, or had ended.
    """
    clock = Clock()
    plan = follow_nodes(make_core(clock), ["*"], 60)
    before = [message_of("a", 3), message_of("b", 1), message_of("c", 7, flags=3)]
    after = [message_of("a", 9), message_of("b", 2), message_of("d", 5), message_of("a", 20)]
    played = play(
        plan, None, [*map(packed, before)], GONE, None, [*map(packed, after)], clock=clock
    )
    kinds = [type(effect) for effect in played.effects[:5]]
    assert kinds == [Subscribe, Listen, Listen, Sleep, Subscribe]
    lost, gap, *rest = played.emitted[3:]
    assert isinstance(lost, Gap)
    assert (lost.job, lost.count) == ("", None)
    assert isinstance(gap, Gap)
    assert (gap.job, gap.count, gap.seq) == ("a", 5, 8)
    assert [(message.job, message.seq) for message in rest] == [
        ("a", 9),
        ("b", 2),
        ("d", 5),
        ("a", 20),
    ]


def test_it_ends_with_its_time() -> None:
    """There is no other end."""
    clock = Clock()
    core: Core = make_core(clock)

    def listen(effect: Listen) -> list[bytes]:
        clock.now += effect.seconds
        return []

    with pytest.raises(WaitTimeout, match="log of nodes: not within 2 s"):
        play(follow_nodes(core, ["*"], 2), None, listen, listen, listen)
