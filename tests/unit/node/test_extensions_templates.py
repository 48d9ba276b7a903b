"""Texts that are filled: how values are written, and what stays as it is."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corex_node.templates import fill, fill_script, write
from corex_shared.errors import BadRequestError

SHELLS = [shell for shell in ("/bin/sh", "/bin/bash", "/bin/ash") if Path(shell).exists()]
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "value, text",
    [
        ("a b", "a b"),
        ("", ""),
        ("{x}", "{x}"),
        (b"bytes \xc3\xbc", "bytes ü"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (1_000_000, "1000000"),
        (2**64 - 1, "18446744073709551615"),
        (1e6, "1000000"),
        (-0.0, "0"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1e-7, "1e-07"),
        ([], "[]"),
        ([1, "a b", None, True], '[1,"a b",null,true]'),
        ({"k": [1.5], "ü": {}}, '{"k":[1.5],"ü":{}}'),
        ({1: 2}, '{"1":2}'),
        (datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2024-01-02T03:04:05Z"),
    ],
)
def test_a_value_is_written_as_the_table_says(value: object, text: str) -> None:
    assert write("x", value) == text
    assert fill("<{x}>", {"x": value}) == f"<{text}>"


@pytest.mark.parametrize(
    "value",
    [
        "a\0",
        b"\0",
        b"\xff",
        float("nan"),
        float("-inf"),
        {None: 1},
        msgspec.msgpack.Ext(5, b"x"),
        [msgspec.msgpack.Ext(5, b"x")],
    ],
)
def test_a_value_without_a_text_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadRequestError, match=r"^who: "):
        fill("{who}", {"who": value})


def test_a_value_nested_beyond_all_reason_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadRequestError, match=r"^who: "):
        fill("{who}", {"who": deep})
    while deep:  # a chain so long is taken apart by hand: freeing it at once may be too deep
        deep = deep[0]


@pytest.mark.parametrize(
    "template",
    [
        "{nobody}",
        "{}",
        "{ a}",
        "{a }",
        "{a.real}",
        "{a[0]}",
        "{a!r}",
        "{a:>10}",
        "{a",
        "a}",
        "{a\n}",
        "{A}",
        "%(a)s $a %s",
    ],
)
def test_what_is_no_name_of_a_value_stays(template: str) -> None:
    assert fill(template, {"a": 1}) == template


def test_names_are_filled_wherever_they_stand() -> None:
    assert fill("{a}{a}-{b_c}{d-e}{0}", {"a": 1, "b_c": 2, "d-e": 3, "0": 4}) == "11-234"
    assert fill("{{a}} ${a}", {"a": 1}) == "{1} $1"


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert fill("{a}{b}", {"a": "{b}", "b": "{a}"}) == "{b}{a}"
    assert fill("{{a}}", {"a": "b", "b": "c"}) == "{b}"


@given(st.dictionaries(NAMES, TEXTS, max_size=5), st.lists(TEXTS | NAMES.map("{{{}}}".format)))
def test_filling_is_joining(values: dict[str, str], parts: list[str]) -> None:
    """Each part that is a name with a value becomes the value, all others stay."""
    parts = [part if part[:1] == "{" else part.replace("{", "(") for part in parts]
    expected = "".join(values.get(part[1:-1], part) if part[:1] == "{" else part for part in parts)
    assert fill("".join(parts), values) == expected


@settings(max_examples=50)
@given(TEXTS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_whatever_comes_is_filled_or_refused(text: str, values: dict[str, Any]) -> None:
    template = text.join(f"{{{name}}}" for name in values)
    refused = False
    try:
        assert "\0" not in fill(template, values)
    except BadRequestError:
        refused = True
    try:
        _, variables = fill_script(template, values, "V")
        assert not any("\0" in value for value in variables.values())
        assert not refused or text.endswith(("$", "\\"))
    except BadRequestError:
        assert refused


@given(VALUES)
def test_lists_and_maps_can_be_read_back(value: object) -> None:
    try:
        text = write("x", [value])
    except BadRequestError:
        return
    assert isinstance(json.loads(text), list)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_can_be_read_back(value: float) -> None:
    text = write("x", value)
    assert float(text) == float(value)
    if value == int(value):
        assert text == str(int(value))


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25)
@given(one=TEXTS, other=TEXTS)
def test_a_script_sees_each_value_as_one_word(shell: str, one: str, other: str) -> None:
    values = {"one": one, "other": other}
    template = 'printf "%s\\0" {one} "{other}" "<$(printf %s. {one})>" {other}{one}'
    script, variables = fill_script(template, values, "V")
    assert script == fill_script(template, dict.fromkeys(values), "V")[0]
    output = subprocess.check_output([shell, "-c", script], env=variables)
    assert output.decode().split("\0")[:-1] == [one, other, f"<{one}.>", other + one]


def test_a_name_that_is_used_twice_is_one_variable() -> None:
    script, variables = fill_script("{a} {b} {a} {c}", {"a": 1, "b": None}, "V_")
    assert script == '${V_1+"${V_1}"} ${V_2+"${V_2}"} ${V_1+"${V_1}"} {c}'
    assert variables == {"V_1": "1", "V_2": ""}


def test_what_is_the_shells_own_stays() -> None:
    script = "${a} \\{a} {a.b} {a,b} {1..3} $(a) {b}"
    assert fill_script(script, {"a": 1, "a,b": 2, "1..3": 3}, "V") == (script, {})
