"""The order of services: phases, ranks, cycles, what is missing."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.services.order import PHASES, CycleError, Item, OrderError, arrange

KEYS = [f"s{number}" for number in range(8)]


def _items(text: str) -> list[Item]:
    """Read `a; b: a net; c: b` as items."""
    items = []
    for part in text.split(";"):
        key, _, after = part.partition(":")
        items.append(Item(key.strip(), tuple(after.split())))
    return items


def _cycle(items: list[Item]) -> tuple[str, ...]:
    """The path of the cycle for which items are refused, if they are."""
    try:
        arrange(items)
    except CycleError as error:
        return error.path
    return ()


@pytest.mark.parametrize(
    "text, ranks",
    [
        ("a; b; c", [("a", "b", "c")]),
        ("a: b; b: c; c", [("c",), ("b",), ("a",)]),
        ("a; b: a; c: a; d: b c", [("a",), ("b", "c"), ("d",)]),
        ("a: a1 a1; a1", [("a1",), ("a",)]),
        ("late; n: net; i: init; b: boot", [("i",), ("n",), ("late", "b")]),
        ("i: init; i2: i; n: net; b", [("i",), ("i2",), ("n",), ("b",)]),
        ("x: net i; i: init; b: n; n: net", [("i",), ("x", "n"), ("b",)]),
        ("x: init b; b", [("b",), ("x",)]),
        ("a: gone; b: a", [("a",), ("b",)]),
    ],
)
def test_services_that_may_start_at_once_have_one_rank(
    text: str, ranks: list[tuple[str, ...]]
) -> None:
    order = arrange(_items(text))
    assert list(order.ranks) == ranks
    assert order.starting() == [key for rank in ranks for key in rank]
    assert [set(rank) for rank in order.stopping()] == [set(rank) for rank in reversed(ranks)]


def test_no_services_have_an_order_too() -> None:
    order = arrange([])
    assert (order.ranks, order.starting(), order.stopping()) == ((), [], ())


def test_a_phase_is_the_latest_named_by_the_service_or_those_it_comes_after() -> None:
    order = arrange(
        _items("a; b: init; c: b; d: c net; e: d init; f: a init; g: gone; h: net gone")
    )
    assert order.phases == {
        "a": "boot",
        "b": "init",
        "c": "init",
        "d": "net",
        "e": "net",
        "f": "boot",
        "g": "boot",
        "h": "net",
    }


def test_what_is_missing_is_told_of_those_who_named_it() -> None:
    order = arrange(_items("a: gone net; b: a lost gone lost; c: b; d"))
    assert order.missing == {"a": ("gone",), "b": ("lost", "gone")}


@pytest.mark.parametrize(
    "text, path",
    [
        ("a: a", "a → a"),
        ("a: b; b: a", "a → b → a"),
        ("x; y: x; a: y b; b: c; c: a", "a → b → c → a"),
        ("a: b; b: c init; c: b net", "b → c → b"),
        ("x: f d; a: c; c: e; d: f e; e: a d; f: c a", "a → c → e → a"),
    ],
)
def test_a_cycle_is_refused_with_its_path(text: str, path: str) -> None:
    with pytest.raises(CycleError) as caught:
        arrange(_items(text))
    assert list(caught.value.path) == path.split(" → ")
    assert str(caught.value).endswith(f": {path}")


def test_a_long_cycle_has_a_short_message() -> None:
    items = [Item(f"s{number}", (f"s{(number + 1) % 10_000}",)) for number in range(10_000)]
    with pytest.raises(CycleError) as caught:
        arrange(items)
    assert len(caught.value.path) == 10_001
    assert len(str(caught.value)) < 300
    assert "9989 more" in str(caught.value)


@pytest.mark.parametrize("text", ["a; b; a", "init", "a; net: a", "boot: boot"])
def test_a_name_that_is_taken_is_refused(text: str) -> None:
    with pytest.raises(OrderError, match="name"):
        arrange(_items(text))


def test_ten_thousand_services_in_a_chain_are_put_in_order_at_once() -> None:
    begun = time.thread_time()
    items = [Item(f"s{number}", (f"s{number + 1}",)) for number in range(9_999)]
    order = arrange([*items, Item("s9999", ("init",))])
    assert time.thread_time() - begun < 2
    assert order.starting() == [f"s{number}" for number in reversed(range(10_000))]
    assert set(order.phases.values()) == {"init"}


@given(st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from([*KEYS, *PHASES]))))
def test_each_service_starts_after_all_it_waits_for_or_a_true_cycle_is_told(
    given_items: dict[str, list[str]],
) -> None:
    items = [Item(key, tuple(after)) for key, after in given_items.items()]
    cycle = _cycle(items)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(other in given_items[one] for one, other in itertools.pairwise(cycle))
        assert len(set(cycle)) == len(cycle) - 1 > 0
        assert cycle[0] == next(key for key in given_items if key in cycle)
        return
    order = arrange(items)
    ranks = {key: number for number, rank in enumerate(order.ranks) for key in rank}
    assert sorted(ranks) == sorted(given_items)
    for key, after in given_items.items():
        for name in after:
            if name in ranks:
                assert ranks[name] < ranks[key]
            elif name not in PHASES:
                assert name in order.missing[key]
        for other in given_items:
            if PHASES.index(order.phases[other]) < PHASES.index(order.phases[key]):
                assert ranks[other] < ranks[key]
    assert all(order.ranks)
