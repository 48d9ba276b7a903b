"""Conditions: what they mean, what is none, and arguments that depend on them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_node.services.conditions import (
    DEEPEST,
    LONGEST,
    All,
    Condition,
    ConditionError,
    Constant,
    Name,
    Not,
    Some,
    parse,
    select,
)

WORDS = ["a", "b", "c-d", "e.f:g/h_1", "0"]
TREES = st.recursive(
    st.sampled_from(WORDS).map(Name) | st.booleans().map(Constant),
    lambda inner: (
        inner.map(Not)
        | st.lists(inner, min_size=1, max_size=4).map(lambda parts: All(tuple(parts)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda parts: Some(tuple(parts)))
    ),
    max_leaves=12,
)
PIECES = st.sampled_from(["and(", "or(", "not(", "and", "true", "false", "a", "(", ")", ",", " "])


def _python(condition: Condition, names: set[str]) -> str:
    """The same condition in Python, as a reference."""
    match condition:
        case Constant(value):
            return str(value)
        case Name(name):
            return str(name in names)
        case Not(part):
            return f"(not {_python(part, names)})"
        case All(parts):
            return f"({' and '.join(_python(part, names) for part in parts)})"
        case Some(parts):
            return f"({' or '.join(_python(part, names) for part in parts)})"


@pytest.mark.parametrize(
    "text, names, expected",
    [
        ("true", "", True),
        ("false", "", False),
        ("", "", True),
        (" \t\n", "", True),
        ("a", "a b", True),
        ("c", "a b", False),
        ("True", "True", True),
        ("and(true, false)", "", False),
        ("and(true, true)", "", True),
        ("or(true, false)", "", True),
        ("or(false, false)", "", False),
        ("and(a)", "a", True),
        ("and(true, or(not(false), false))", "", True),
        ("and(true, or(not(user-input), false))", "", True),
        ("and(true, or(not(user-input), false))", "user-input", False),
        (" and (true,\n or( not(user-input) , false ) )", "", True),
        ("not(not(a/b.c:d_e))", "a/b.c:d_e", True),
        ("android", "android", True),
        ("nothing", "", False),
    ],
)
def test_conditions_mean_what_they_say(text: str, names: str, expected: bool) -> None:
    assert parse(text).holds(names.split()) is expected


@pytest.mark.parametrize(
    "text, position",
    [
        ("(", 0),
        (")", 0),
        (",", 0),
        ("()", 0),
        ("a b", 2),
        ("a,b", 1),
        ("a)", 1),
        ("and", 3),
        ("and a", 4),
        ("and()", 4),
        ("and(a", 5),
        ("and(a,", 6),
        ("and(a,)", 6),
        ("and(,a)", 4),
        ("and(a b)", 6),
        ("and(a))", 6),
        ("not(a, b)", 5),
        ("not()", 4),
        ("true()", 0),
        ("  x(a)", 2),
        ("AND(a)", 0),
        ("or(a, b(c))", 6),
        ("a=b", 1),
        ("a|b", 1),
        ("ü", 0),
        ("or(a, 'b')", 6),
        ("a\0", 1),
        ("\u00a0a", 0),
    ],
)
def test_what_is_no_condition_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert caught.value.position == position
    assert f"at character {position + 1}" in str(caught.value)
    assert caught.value.text == text


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "not(" * 100_000 + "a" + ")" * 100_000,
        "and(" * 1000,
        "not(" * DEEPEST + "a" + ")" * DEEPEST,
        "a" * 1_000_000,
        "or(" + "a," * 1_000_000,
    ],
)
def test_hostile_texts_are_refused_at_once_with_a_short_message(text: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert time.thread_time() - begun < 1
    assert len(str(caught.value)) < 300


def test_conditions_may_be_as_deep_and_long_as_the_bounds_say() -> None:
    deep = "not(" * (DEEPEST - 1) + "a" + ")" * (DEEPEST - 1)
    assert parse(deep).holds({"a"}) is (DEEPEST % 2 == 1)
    wide = ("or(" + "a," * LONGEST)[: LONGEST - 2] + "b)"
    assert len(wide) == LONGEST
    assert str(parse(wide)) == wide


@given(TREES, st.sets(st.sampled_from(WORDS)))
def test_a_condition_agrees_with_the_same_in_python(tree: Condition, names: set[str]) -> None:
    assert tree.holds(names) is eval(_python(tree, names))


@given(TREES, st.data())
def test_a_condition_can_be_written_and_read_back(tree: Condition, data: st.DataObject) -> None:
    text = str(tree)
    assert parse(text) == tree
    blanks = st.text(" \t\n", max_size=2)
    for mark in "(),":
        text = text.replace(mark, data.draw(blanks) + mark + data.draw(blanks))
    assert parse(data.draw(blanks) + text + data.draw(blanks)) == tree


@given(st.text() | st.lists(PIECES).map("".join))
def test_any_text_is_a_condition_or_one_error(text: str) -> None:
    position = 0
    try:
        condition = parse(text)
    except ConditionError as error:
        position = error.position
    else:
        assert parse(str(condition)) == condition
    assert 0 <= position <= len(text)


# -- conditional keys -----------------------------------------------------------------------------


def _select(arguments: dict[str, Any], *names: str) -> dict[str, Any]:
    return select(arguments, lambda condition: condition.holds(names))


def test_a_conditional_key_counts_only_when_its_condition_holds() -> None:
    arguments = {"name": "x", "debug|args": ["-v"], "not(debug) | args": ["-q"]}
    assert _select({"name": "x", "debug|args": ["-v"]}) == {"name": "x"}
    assert _select(arguments, "debug") == {"name": "x", "args": ["-v"]}
    assert _select(arguments) == {"name": "x", "args": ["-q"]}


def test_a_plain_key_is_the_default_wherever_it_stands() -> None:
    for arguments in ({"a|k": 1, "k": 0}, {"k": 0, "a|k": 1}):
        assert _select(arguments) == {"k": 0}
        assert _select(arguments, "a") == {"k": 1}


def test_of_several_that_hold_the_last_decides() -> None:
    arguments = {"a|k": 1, "b|k": 2, "true|k": None}
    assert _select(arguments, "a", "b") == {"k": None}
    del arguments["true|k"]
    assert _select(arguments, "a", "b") == {"k": 2}
    assert _select(arguments, "a") == {"k": 1}


def test_a_key_is_all_behind_the_first_bar_and_what_is_below_stays() -> None:
    assert _select({"a|b|c": {"x|y": 1}}, "a") == {"b|c": {"x|y": 1}}


@pytest.mark.parametrize("key", ["|k", " |k", "a|", "|", "and(|k", "a b|k", "a=b|k", "ü|k"])
def test_a_key_with_a_condition_that_is_none_is_refused_always(key: str) -> None:
    with pytest.raises(ConditionError):
        select({key: 1}, lambda _: False)


@given(st.dictionaries(st.text(alphabet="ab|(,) "), st.integers()))
def test_any_keys_are_chosen_among_or_refused(arguments: dict[str, int]) -> None:
    try:
        chosen = _select(arguments, "a")
    except ConditionError:
        assert any("|" in key for key in arguments)
    else:
        assert set(chosen.values()) <= set(arguments.values())
