"""A batch on its way through a Cluster: what goes where, and what is sent on."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from corex_shared.connection.nodes import KnownNodes, SlotMap, slot_of
from corex_shared.connection.routing import ROUNDS, Batch, hints_of, parted
from corex_shared.finishing import PRESENT, STALE, WRITTEN, Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.scripts import Barrier, Call, Spread, script, whole

A, B, C = ("a", 1), ("b", 2), ("c", 3)
# Slots of {1}: 9842, {2}: 5649, {3}: 1584, {4}: 14039.
MAP = [
    [0, 5000, [b"a", 1, b"id"], [b"ra", 11, b"id"]],
    [5001, 10000, [b"b", 2, b"id"]],
    [10001, 16383, [b"c", 3, b"id"]],
]


@pytest.fixture
def slots() -> SlotMap:
    """Three masters, A, B and C, of which A has a replica."""
    return SlotMap(MAP, ("seed", 9))


def _send(batch: Batch, slots: SlotMap, answers: dict[Any, list[Any]]) -> dict[Any, list[Call]]:
    """Play one round: give each server's answers; return what each was sent."""
    sent = {}
    for group in batch.groups(slots):
        sent[group.address] = group.calls()
        group.take(answers[group.address])
        batch.heard(group, slots)
    return sent


def test_each_command_goes_to_the_master_of_its_slot(slots: SlotMap) -> None:
    """In order within a master; the answers come back in the order of the commands."""
    calls: list[Call] = [("GET", "{1}"), ("GET", "{3}"), ("GET", "{1}b"), ("GET", "{4}")]
    batch = Batch(calls)
    sent = _send(batch, slots, {A: ["3"], B: ["1", "1b"], C: ["4"]})
    assert sent == {A: [calls[1]], B: [calls[0], calls[2]], C: [calls[3]]}
    assert not batch.is_open
    assert batch.answers() == ["1", "3", "1b", "4"]


def test_what_has_no_key_goes_anywhere(slots: SlotMap) -> None:
    """Any master will do."""
    (group,) = Batch([("TIME",)]).groups(slots)
    assert group.address in (A, B, C)


def test_the_slot_of_a_script_is_that_of_its_first_key() -> None:
    """So is that of any other command, and of a channel; a key may be bytes."""
    assert slot_of(script("claim").call(["{1}x", "{1}y"], ["{2}"])) == slot_of(("GET", "{1}"))
    assert slot_of(("PUBLISH", "{1}", "{2}")) == slot_of(("GET", b"{1}")) == 9842
    assert slot_of(script("claim").call([], ["{2}"])) is None


def test_a_spread_is_one_script_a_slot(slots: SlotMap) -> None:
    """Each part has the arguments that all share, and the answers are put in order."""
    keys = ["{1}a", "{1}b", "{2}a", "{2}b", "{1}c", "{1}d"]
    spread = Spread(script("accept"), ["all"], keys, ["x1", "y1", "x2", "y2", "x3", "y3"], 2, 2)
    batch = Batch([spread])
    sent = _send(batch, slots, {B: [[11, 13], [12]]})
    accept = script("accept")
    assert sent[B] == [
        accept.call(["{1}a", "{1}b", "{1}c", "{1}d"], ["all", "x1", "y1", "x3", "y3"]),
        accept.call(["{2}a", "{2}b"], ["all", "x2", "y2"]),
    ]
    assert batch.answers() == [[11, 12, 13]]


def test_a_barrier_parts_what_must_be_done_one_after_the_other() -> None:
    """Where one server has everything it is nothing."""
    assert parted([("GET", "a"), Barrier.HERE, ("GET", "b"), ("GET", "c")]) == [
        [("GET", "a")],
        [("GET", "b"), ("GET", "c")],
    ]
    with pytest.raises(TypeError):
        whole(Barrier.HERE)


def test_numbers_are_added_up(slots: SlotMap) -> None:
    """A spread whose parts answer with numbers answers with their sum."""
    batch = Batch([Spread(script("forget"), ["all"], ["{1}", "{3}", "{4}"], (), 1)])
    _send(batch, slots, {A: [1], B: [0], C: [1]})
    assert batch.answers() == [2]


def test_one_error_is_the_answer_of_a_whole_spread(slots: SlotMap) -> None:
    """What became of the others is not known to the caller, who repeats or gives up."""
    error = TryAgainError("later")
    batch = Batch([Spread(script("forget"), [], ["{1}", "{3}"], (), 1), ("GET", "{4}")])
    _send(batch, slots, {A: [1], B: [error], C: ["x"]})
    assert not batch.is_open
    assert batch.answers() == [error, "x"]


def test_only_what_moved_is_sent_on(slots: SlotMap) -> None:
    """To where it moved, and so is whatever comes later."""
    batch = Batch([("INCR", "{1}"), ("INCR", "{2}"), ("INCR", "{1}")])
    moved = MovedError("9842 c:3")
    (group,) = batch.groups(slots)
    group.take([moved, 1, moved])
    assert batch.heard(group, slots).doubtful
    assert _send(batch, slots, {C: [7, 8]}) == {C: [("INCR", "{1}"), ("INCR", "{1}")]}
    assert batch.answers() == [7, 1, 8]
    assert slots.owner(9842) == C


def test_what_is_on_its_way_is_asked_for_there(slots: SlotMap) -> None:
    """Once, after ASKING; the slot itself stays where it is."""
    batch = Batch([("GET", "{1}"), ("GET", "{2}")])
    _send(batch, slots, {B: [AskError("9842 c:3"), "2"]})
    assert _send(batch, slots, {C: [b"OK", "1"]}) == {C: [("ASKING",), ("GET", "{1}")]}
    assert batch.answers() == ["1", "2"]
    assert slots.owner(9842) == B


def test_a_script_that_is_not_known_is_sent_again_by_itself(slots: SlotMap) -> None:
    """What else went along was done, and is not repeated."""
    claim = script("claim").call(["{1}"], [])
    batch = Batch([("INCR", "{1}"), claim])
    (group,) = batch.groups(slots)
    group.take([1, NoScriptError("no")])
    assert batch.heard(group, slots).lacks_scripts
    assert _send(batch, slots, {B: ["ok"]}) == {B: [claim]}
    assert batch.answers() == [1, "ok"]


def test_other_errors_are_answers(slots: SlotMap) -> None:
    """They are not sent on; a Cluster that is down has its map read anew."""
    batch = Batch([("GET", "{1}"), ("GET", "{2}")])
    errors = [ResponseError("WRONGTYPE"), ClusterDownError("down")]
    (group,) = batch.groups(slots)
    group.take(errors)
    assert batch.heard(group, slots).doubtful
    assert batch.answers() == errors


def test_a_cluster_in_disorder(slots: SlotMap) -> None:
    """Two nodes that point at each other are not asked for ever."""
    batch = Batch([("GET", "{1}")])
    targets = {B: C, C: B}
    for _ in range(ROUNDS):
        (group,) = batch.groups(slots)
        host, port = targets[group.address]
        group.take([MovedError(f"9842 {host}:{port}")])
        batch.heard(group, slots)
    assert isinstance(batch.answers()[0], ClusterDownError)


def test_a_slot_that_nobody_has() -> None:
    """Nothing is sent to a wrong place."""
    slots = SlotMap([[0, 5000, [b"a", 1, b"id"]]], A)
    with pytest.raises(ClusterDownError, match="9842"):
        Batch([("GET", "{3}"), ("GET", "{1}")]).groups(slots)


def test_nodes_without_a_name() -> None:
    """A node that does not know its name, or another's, is where the answer came from."""
    maps = [[[0, 16383, [nameless, 7, b"id"]]] for nameless in (None, b"", b"?")]
    assert {SlotMap(one, ("seed", 9)).owner(1) for one in maps} == {("seed", 7)}
    slots = SlotMap(maps[0], ("seed", 9))
    batch = Batch([("GET", "{1}")])
    (group,) = batch.groups(slots)
    group.take([MovedError("9842 :8")])
    batch.heard(group, slots)
    assert slots.owner(9842) == ("seed", 8)


def test_known_nodes_are_those_seen_last_and_the_seeds(slots: SlotMap) -> None:
    """Those that were seen come first; none is named twice."""
    known = KnownNodes([A, ("seed", 9)])
    assert sorted(known.shuffled()) == sorted([A, ("seed", 9)])
    known.saw(slots.nodes)
    assert sorted(known.shuffled()[:4]) == sorted([A, B, C, ("ra", 11)])
    assert known.shuffled()[4:] == [("seed", 9)]


def test_an_inbox_in_another_slot_is_told_afterwards(slots: SlotMap) -> None:
    """A result is told whole if it was written now; the ID alone of one that was there already."""
    keys = Keys()
    ends = [
        Finish(job, b"{result}", "SUCCESS", reply_to=client, hint=b"{hint %d}" % at)
        for at, (job, client) in enumerate([("1", "me"), ("2", "me"), ("3", "me"), ("4", None)])
    ]
    step = finish_call(keys, "n1", "inc", 1000, ends)
    assert step.call()[6::4][:3] == (keys.inbox("me"), keys.inbox("me"), keys.inbox("me"))
    batch = Batch([step])
    sent = [call for group in batch.groups(slots) for call in group.calls()]
    assert not [call for call in sent if keys.inbox("me") in call]
    assert all(call[3] == call[6] for call in sent)  # the state, which means none
    told = hints_of([step], [[WRITTEN, PRESENT, STALE, WRITTEN]])
    assert told[0] == ("RPUSH", keys.inbox("me"), b"{hint 0}", b'{"id":"2"}')
    assert [call[0] for call in told] == ["RPUSH", "LTRIM", "PEXPIRE"]
    assert hints_of([step], [ClusterDownError("down")]) == []
