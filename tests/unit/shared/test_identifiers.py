"""Identifiers: a closed alphabet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corex_shared.errors import InvalidIdError
from corex_shared.identifiers import check_id, is_valid_id, new_id

GOOD = ["a", "7", "web-1", "A.b_c:d-e", "x" * 128]
BAD = ["", "-a", ".a", "_a", ":a", "a b", "a/b", "a\n", "\na", "a\0", "ä", "a}b", "*", "x" * 129]


@pytest.mark.parametrize("text", GOOD)
def test_good_ones(text: str) -> None:
    """They are returned as they are."""
    assert is_valid_id(text)
    assert check_id("job", text) == text


@pytest.mark.parametrize("text", BAD)
def test_bad_ones(text: str) -> None:
    """They are refused with their kind, their text and what is allowed."""
    assert not is_valid_id(text)
    with pytest.raises(InvalidIdError, match="job ID") as caught:
        check_id("job", text)
    assert (caught.value.kind, caught.value.text) == ("job", text)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [None, 7, b"a", ["a"], True])
def test_what_is_no_text(value: object) -> None:
    """Other types are no identifiers."""
    assert not is_valid_id(value)


@given(st.text())
def test_nothing_else_gets_through(text: str) -> None:
    """No text that is valid holds a character that keys or paths know."""
    if is_valid_id(text):
        assert text.isascii()
        assert not set(text) & set("/{}*?[]\\ \n\r\0\"'")
        assert 1 <= len(text) <= 128


def test_fresh_ones() -> None:
    """They are valid and differ."""
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_valid_id(text) for text in made)
