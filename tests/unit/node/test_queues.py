"""Named queues: one at a time, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corex_node.manager.queues import QueueTable

# Who stands in line is known by identity, as jobs are.
A, B, C = [1], [2], [3]


def test_the_first_holds_and_the_others_follow_in_order() -> None:
    """Whoever leaves hands the queue to the next."""
    table: QueueTable[list[int]] = QueueTable()
    assert [table.enter("q", item) for item in (A, B, C)] == [True, False, False]
    assert table.leave("q", A) == B
    assert table.leave("q", B) == C
    assert table.leave("q", C) is None
    assert len(table) == 0


def test_queues_are_apart() -> None:
    """Each has a holder of its own."""
    table: QueueTable[list[int]] = QueueTable()
    assert table.enter("q", A)
    assert table.enter("r", B)
    assert len(table) == 2


def test_one_that_waits_may_leave() -> None:
    """Nobody holds the queue because of that, and the others keep their order."""
    table: QueueTable[list[int]] = QueueTable()
    for item in (A, B, C):
        table.enter("q", item)
    assert table.leave("q", B) is None
    assert table.leave("q", A) == C


def test_one_that_is_not_there_may_leave() -> None:
    """It changes nothing."""
    table: QueueTable[list[int]] = QueueTable()
    assert table.leave("q", A) is None
    table.enter("q", A)
    assert table.leave("q", B) is None
    assert not table.enter("q", C)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from("qr"))))
def test_it_behaves_like_lists(steps: list[tuple[bool, int, str]]) -> None:
    """Whatever comes and goes, the first of each list holds the queue."""
    table: QueueTable[int] = QueueTable()
    lists: dict[str, list[int]] = {"q": [], "r": []}
    for enters, item, name in steps:
        line = lists[name]
        if enters and item not in line:
            line.append(item)
            assert table.enter(name, item) is (len(line) == 1)
        elif not enters:
            held = bool(line) and line[0] == item
            if item in line:
                line.remove(item)
            assert table.leave(name, item) == (line[0] if held and line else None)
    assert len(table) == sum(bool(line) for line in lists.values())
