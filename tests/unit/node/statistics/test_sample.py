"""Samples and their text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.statistics.sample import (
    LONGEST_TEXT,
    Op,
    Sample,
    SampleError,
    format_sample,
    make_sample,
    parse_sample,
    tag_text,
)

_KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.@%+-]{0,40}", fullmatch=True)
_NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True).filter(lambda name: name != "id")
_VALUES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters=",|"), min_size=1, max_size=30
)
_NUMBERS = st.floats(-1e100, 1e100) | st.integers(-(10**30), 10**30)


@pytest.mark.parametrize(
    "text, sample",
    [
        ("a:1|A", Sample(Op.AVERAGE, "a", 1.0)),
        ("a:1|A|", Sample(Op.AVERAGE, "a", 1.0)),
        ("some.metric.key:23.12|A", Sample(Op.AVERAGE, "some.metric.key", 23.12)),
        ("disk.iops.read@phys.sda:7|D", Sample(Op.DIFFERENCE, "disk.iops.read@phys.sda", 7.0)),
        ("a:-1.5e3|D|id=sda", Sample(Op.DIFFERENCE, "a", -1500.0, "sda")),
        (
            "a:.5|A|z=1,id=x y,b=/var/lib",
            Sample(Op.AVERAGE, "a", 0.5, "x y", (("b", "/var/lib"), ("z", "1"))),
        ),
        ("a:+2.|A|b=c=d", Sample(Op.AVERAGE, "a", 2.0, "", (("b", "c=d"),))),
    ],
)
def test_a_text_is_read(text: str, sample: Sample) -> None:
    """Key, value and op; tags in any order, one of which names the instance."""
    assert parse_sample(text) == sample


@pytest.mark.parametrize(
    "text, at_fault",
    [
        ("", "value"),
        ("a", "value"),
        ("a:", "value"),
        ("a|A", "value"),
        ("a:1", "op"),
        ("a:1|", "op"),
        ("a:1|a", "op"),
        ("a:1|C", "op"),
        ("a:1|AA", "op"),
        (":1|A", "key"),
        ("a b:1|A", "key"),
        (".a:1|A", "key"),
        ("a/b:1|A", "key"),
        ("é:1|A", "key"),
        ("a\n:1|A", "key"),
        ("a" * 129 + ":1|A", "key"),
        ("a:b:1|A", "value"),
        ("a:nan|A", "value"),
        ("a:inf|A", "value"),
        ("a:-Infinity|A", "value"),
        ("a:1_0|A", "value"),
        ("a: 1|A", "value"),
        ("a:0x1|A", "value"),
        ("a:1,5|A", "value"),
        ("a:٣|A", "value"),
        ("a:1e101|A", "value"),
        ("a:-1e999|A", "value"),
        ("a:" + "1" * 65 + "|A", "value"),
        ("a:1|A|b", "tags: b"),
        ("a:1|A|b=", "tags: b"),
        ("a:1|A|=b", "tags"),
        ("a:1|A|id=", "tags: id"),
        ("a:1|A|b c=d", "tags"),
        ("a:1|A|b=1,b=2", "tags"),
        ("a:1|A|b=1,", "tags"),
        ("a:1|A|b=c|d", "tags: b"),
        ("a:1|A|b=\x00", "tags: b"),
        ("a:1|A|b=x\u2028y", "tags: b"),
        ("a:1|A|b=\ud800", "tags: b"),
        ("a:1|A|b=" + "x" * 129, "tags: b"),
        ("a:1|A|" + "x" * 65 + "=1", "tags"),
        ("a:1|A|" + ",".join(f"t{number}=1" for number in range(17)), "tags"),
        ("a:1|A|" + ",".join(f"t{number}={'x' * 100}" for number in range(12)), "sample"),
    ],
)
def test_a_wrong_text_is_refused_with_the_part_at_fault(text: str, at_fault: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(SampleError, match=rf"^{at_fault}: "):
        parse_sample(text)


@given(
    st.sampled_from(Op),
    _KEYS,
    _NUMBERS,
    _VALUES | st.just(""),
    st.dictionaries(_NAMES, _VALUES, max_size=4),
)
def test_what_is_written_is_read_again(
    op: Op, key: str, value: float, instance_id: str, tags: dict[str, str]
) -> None:
    """Every sample that can be made has a text that gives it back."""
    sample = make_sample(op, key, value, instance_id, tags)
    text = format_sample(sample)
    assert len(text) <= LONGEST_TEXT
    assert parse_sample(text) == sample
    assert sample.value == pytest.approx(value)


_PARTS = st.sampled_from([*"abAD01:|,=.- \n\x00é", "id=", "|A|", "|D", "1e5", "nan", ":1", "t=x"])


@given(st.text(max_size=60) | st.lists(_PARTS, max_size=20).map("".join))
def test_no_text_upsets_the_reader(text: str) -> None:
    """It is a sound sample, or a refusal."""
    try:
        sample = parse_sample(text)
    except SampleError:
        return
    assert math.isfinite(sample.value)
    assert parse_sample(format_sample(sample)) == sample


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 1.1e100, 10**101, 10**400, -(10**400)]
)
def test_no_sample_is_made_of_a_value_without_end(value: float) -> None:
    """Sums of values stay finite."""
    with pytest.raises(SampleError, match=r"^value: "):
        make_sample("A", "a", value)


def test_parts_from_code_are_checked_like_those_of_a_text() -> None:
    """Each wrong part is named, the instance is given once."""
    for arguments, at_fault in [
        (("C", "a", 1.0), "op"),
        (("A", "a b", 1.0), "key"),
        (("A", "a", 1.0, "x,y"), "tags: id"),
        (("A", "a", 1.0, "", {"id": "x"}), "tags: id"),
        (("A", "a", 1.0, "", {f"t{number}": "x" * 120 for number in range(10)}), "sample"),
    ]:
        with pytest.raises(SampleError, match=rf"^{at_fault}: "):
            make_sample(*arguments)  # type: ignore[arg-type]


@given(st.text(max_size=200))
def test_any_name_can_be_made_a_tag(text: str) -> None:
    """Paths and devices are named by strangers."""
    sample = make_sample("A", "a", 1.0, tag_text(text))
    assert parse_sample(format_sample(sample)) == sample


def test_a_decent_name_stays_as_it_is() -> None:
    """Only what is not allowed is replaced."""
    assert tag_text("/var/lib/my disk") == "/var/lib/my disk"
    assert tag_text("a,b|c\nd") == "a_b_c_d"
    assert tag_text("") == "_"
