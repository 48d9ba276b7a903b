"""Series of samples, told by windows of time."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.statistics.aggregator import IDLE, Aggregator
from corex_node.statistics.sample import SampleError, parse_sample
from corex_node.statistics.series import Series
from corex_node.statistics.windows import Window

NOON = 1_700_006_400
"""A multiple of an hour."""


class Told:
    """An aggregator, and the windows that it told of.

    Attributes:
        closed: `(name, period, start from noon, total, count)` in order.
    """

    def __init__(self, most: int = 100) -> None:
        """Begin with nothing."""
        self.closed: list[tuple[str, int, int, float, int]] = []
        self.aggregator = Aggregator(self._hear, most)

    def _hear(self, series: Series, period: int, window: Window) -> None:
        figures = (window.start - NOON, window.total, window.count)
        self.closed.append((series.name, period, *figures))

    def feed(self, *texts: str, at: float = 0) -> None:
        """Feed samples at a time from noon."""
        for text in texts:
            self.aggregator.feed(parse_sample(text), NOON + at)

    def query(self, key: str | None = None, at: float = 0, **tags: str) -> dict[str, Any]:
        """Ask at a time from noon."""
        return self.aggregator.query(key, tags, NOON + at)

    def advance(self, at: float) -> None:
        """Let the time come, from noon."""
        for series in self.aggregator.series():
            self.aggregator.advance(series, NOON + at)


@pytest.fixture
def told() -> Told:
    """One of a hundred series at most."""
    return Told()


def test_averages_are_told_in_the_shape_of_0_core(told: Told) -> None:
    """Per metric and instance: op, last value and time, tags, windows by their lengths."""
    told.feed("m:1|A|id=x,zone=eu", at=10)
    told.feed("m:5|A|zone=eu,id=x", at=20.5)
    window = {"avg": 3.0, "total": 6.0, "max": 5.0, "count": 2, "start": NOON}
    assert told.query(at=21) == {
        "m/x": {
            "op": "A",
            "last_value": 5.0,
            "last_time": NOON + 20,
            "tags": [{"key": "id", "value": "x"}, {"key": "zone", "value": "eu"}],
            "current": {"300": window, "3600": window},
            "history": {"300": [], "3600": []},
        }
    }


def test_windows_become_history_as_time_passes(told: Told) -> None:
    """Five of each length are kept; asking closes what is over."""
    for number in range(14):
        told.feed(f"m:{number}|A", at=number * 300)
    answer = told.query(at=14 * 300)["m"]
    assert [window["start"] - NOON for window in answer["history"]["300"]] == [
        number * 300 for number in range(9, 14)
    ]
    assert [window["avg"] for window in answer["history"]["300"]] == [9, 10, 11, 12, 13]
    assert answer["current"]["300"] == {
        "avg": 0.0,
        "total": 0.0,
        "max": 0.0,
        "count": 0,
        "start": NOON + 14 * 300,
    }
    assert [window["count"] for window in answer["history"]["3600"]] == [12]
    assert answer["current"]["3600"]["count"] == 2


def test_a_counter_counts_by_its_difference_per_second(told: Told) -> None:
    """Its first sample has none; the last value is the counter's own."""
    told.feed("c:100|D", at=0)
    assert told.query(at=0)["c"]["current"]["300"]["count"] == 0
    told.feed("c:150|D", at=10)
    told.feed("c:151|D", at=10.5)
    answer = told.query(at=11)["c"]
    assert (answer["op"], answer["last_value"]) == ("D", 151.0)
    assert answer["current"]["300"] == {
        "avg": 3.5,
        "total": 7.0,
        "max": 5.0,
        "count": 2,
        "start": NOON,
    }


def test_a_counter_that_began_anew_gives_no_negative_value(told: Told) -> None:
    """It counts on from where it is."""
    told.feed("c:1000|D", at=0)
    told.feed("c:10|D", at=10)
    assert told.query(at=10)["c"]["current"]["300"]["count"] == 0
    told.feed("c:30|D", at=20)
    assert told.query(at=20)["c"]["current"]["300"]["total"] == 2.0


def test_samples_of_a_counter_at_the_same_instant_lose_nothing(told: Told) -> None:
    """What they add is in the next difference."""
    told.feed("c:0|D", "c:5|D", "c:10|D", at=0)
    told.feed("c:20|D", at=10)
    assert told.query(at=10)["c"]["current"]["300"]["total"] == 2.0
    told.feed("c:3|D", at=10)  # began anew, at that very instant
    told.feed("c:13|D", at=20)
    assert told.query(at=20)["c"]["current"]["300"]["total"] == 3.0


def test_a_clock_set_back_gives_no_difference_and_stops_nothing(told: Told) -> None:
    """The counter counts on from there."""
    told.feed("c:0|D", at=86_400)
    told.feed("c:100|D", at=0)
    assert told.query(at=0)["c"]["current"]["300"]["count"] == 0
    told.feed("c:110|D", at=10)
    assert told.query(at=10)["c"]["current"]["300"] == {
        "avg": 1.0,
        "total": 1.0,
        "max": 1.0,
        "count": 1,
        "start": NOON,
    }


def test_series_differ_by_key_instance_and_tags(told: Told) -> None:
    """Of two that would have one name, the later has its tags in it; their order is nothing."""
    told.feed("m:1|A|id=x,a=1,b=2", "m:2|A|b=2,a=1,id=x", "m:3|A|id=x,a=2", "m:4|A", "m:5|A|a=1")
    told.feed("m:6|A|id=y")
    last = {name: answer["last_value"] for name, answer in told.query().items()}
    assert last == {"m/x": 2.0, "m/x|a=2": 3.0, "m": 4.0, "m|a=1": 5.0, "m/y": 6.0}


def test_a_query_by_key_and_tags(told: Told) -> None:
    """All given tags must fit, the instance is one of them."""
    told.feed("m:1|A|id=x,zone=eu,type=phys", "m:2|A|id=y,zone=eu", "n:3|A|id=x,zone=us", "o:4|A")
    assert set(told.query()) == {"m/x", "m/y", "n/x", "o"}
    assert set(told.query("m")) == {"m/x", "m/y"}
    assert set(told.query(None, zone="eu")) == {"m/x", "m/y"}
    assert set(told.query(None, id="x")) == {"m/x", "n/x"}
    assert set(told.query("m", id="x", zone="eu")) == {"m/x"}
    assert told.query("m", id="x", zone="us") == {}
    assert told.query("m/x") == {}


def test_a_series_keeps_its_op(told: Told) -> None:
    """A sample with another one is refused and changes nothing."""
    told.feed("m:1|A")
    with pytest.raises(SampleError, match=r"^op: "):
        told.feed("m:100|D")
    assert told.query()["m"]["last_value"] == 1.0


def test_closed_windows_are_told_once(told: Told) -> None:
    """As time passes, or as a later sample shows that it did."""
    told.feed("m:1|A", "m:2|A", at=0)
    told.advance(299)
    assert told.closed == []
    told.advance(300)
    assert told.closed == [("m", 300, 0, 3.0, 2)]
    told.feed("m:4|A", at=301)
    told.feed("m:5|A", at=3600)
    assert told.closed[1:] == [("m", 300, 300, 4.0, 1), ("m", 3600, 0, 7.0, 3)]
    told.query(at=3600)
    assert len(told.closed) == 3


def test_beyond_the_limit_new_series_are_refused() -> None:
    """Those that are there go on."""
    told = Told(most=3)
    told.feed("a:1|A", "b:1|A", "c:1|A")
    with pytest.raises(SampleError, match=r"^series: "):
        told.feed("d:1|A", at=1)
    told.feed("a:2|A", at=2)
    assert len(told.aggregator) == 3
    assert told.query()["a"]["last_value"] == 2.0


def test_silent_series_give_way_to_new_ones() -> None:
    """The one that has been silent longest, with its windows told; one that speaks does not."""
    told = Told(most=3)
    told.feed("a:1|A", at=0)
    told.feed("b:1|A", at=100)
    told.feed("c:1|A", at=399)
    told.feed("d:1|A", at=401)
    assert set(told.query(at=401)) == {"b", "c", "d"}
    assert ("a", 300, 0, 1.0, 1) in told.closed
    assert ("a", 3600, 0, 1.0, 1) in told.closed


def test_a_full_table_is_not_searched_for_each_sample() -> None:
    """Ten seconds pass between two searches."""
    told = Told(most=1)
    told.feed("a:1|A", at=0)
    with pytest.raises(SampleError):
        told.feed("b:1|A", at=295)
    with pytest.raises(SampleError):
        told.feed("b:1|A", at=301)
    told.feed("b:1|A", at=305)
    assert set(told.query()) == {"b"}


def test_a_clock_set_back_leaves_no_table_full_for_years() -> None:
    """Series that were last heard of in what is now the future give way too."""
    told = Told(most=1)
    told.feed("a:1|A", at=1e9)
    told.feed("b:1|A", at=0)
    assert set(told.query()) == {"b"}


@pytest.mark.parametrize("passed", [IDLE + 1, -IDLE - 1])
def test_idle_series_are_forgotten(told: Told, passed: float) -> None:
    """After the longest window and its history; a clock set back far counts as well."""
    told.feed("m:1|A")
    told.advance(math.copysign(IDLE, passed))
    assert len(told.aggregator) == 1
    told.advance(passed)
    assert len(told.aggregator) == 0
    assert sorted(told.closed) == [("m", 300, 0, 1.0, 1), ("m", 3600, 0, 1.0, 1)]
    told.feed("m:2|A", at=passed)
    assert told.query(at=passed)["m"]["history"] == {"300": [], "3600": []}


_SAMPLES = st.builds(
    "{}:{}|{}|t={}".format,
    st.sampled_from("ab"),
    st.floats(-1e100, 1e100),
    st.sampled_from("AD"),
    st.sampled_from("12"),
)
_STEPS = st.floats(0, 400) | st.floats(-1e5, 1e5)


@given(st.lists(st.tuples(_STEPS, _SAMPLES), max_size=60))
def test_nothing_upsets_it(steps: Iterable[tuple[float, str]]) -> None:
    """Whatever values and clock do: bounded, finite, and in windows of their own once."""
    told = Told(most=3)
    at = 0.0
    taken: Counter[str] = Counter()
    for step, text in steps:
        at += step
        with suppress(SampleError):
            told.feed(text, at=at)
            taken[text.partition("|")[2][0]] += 1
        assert len(told.aggregator) <= 3
    json.loads(json.dumps(told.query(at=at), allow_nan=False))
    told.advance(at + 1e9)
    assert len(told.aggregator) == 0
    for length in (300, 3600):
        told_of = sum(count for _, period, _, _, count in told.closed if period == length)
        assert taken["A"] <= told_of <= taken["A"] + taken["D"]
