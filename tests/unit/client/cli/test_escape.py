"""Remote text on a terminal."""

from __future__ import annotations

import pytest

from corex.cli.escape import SafeStream, safe, safe_line


@pytest.mark.parametrize(
    "text",
    ["plain\n", "tab\there\r\n", "\x1b[31mred\x1b[0m", "\x1b[38;5;9mx\x1b[m", "žluťoučký 漢字 🎉"],
)
def test_text_and_colours_pass(text: str) -> None:
    """Letters of all scripts, line breaks, tabs and colours are left alone."""
    assert safe(text) == text


@pytest.mark.parametrize(
    "text,shown",
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b[6n", "\\x1b[6n"),
        ("\x1bP+q\x1b\\", "\\x1bP+q\\x1b\\"),
        ("\x9b31m", "\\x9b31m"),
        ("\x9d0;x\x9c", "\\x9d0;x\\x9c"),
        ("a\x08b\x7f\x00", "a\\x08b\\x7f\\x00"),
        ("\x1b[31", "\\x1b[31"),
        ("\x0e\x0f", "\\x0e\\x0f"),
        ("rm \u202etxt.x", "rm \\u202etxt.x"),
    ],
)
def test_what_can_harm_is_shown(text: str, shown: str) -> None:
    """Titles, cursor moves, questions to the terminal, C1 controls: seen, not obeyed."""
    assert safe(text) == shown


def test_a_line_of_ours_stays_a_line() -> None:
    """A quoted remote text cannot begin a line of its own."""
    assert safe_line("a\n corex: b\x1b[2J\r") == "a corex: b\\x1b[2J"


def test_a_colour_in_two_pieces() -> None:
    """A colour whose bytes come apart is still a colour."""
    stream = SafeStream()
    assert stream.feed("a\x1b") == "a"
    assert stream.feed("[3") == ""
    assert stream.feed("1mred") == "\x1b[31mred"


def test_harm_in_two_pieces() -> None:
    """Cutting a harmful sequence in two does not get it through."""
    stream = SafeStream()
    assert stream.feed("\x1b") + stream.feed("]0;x\x07") == "\\x1b]0;x\\x07"


def test_the_rest_is_shown_at_the_end() -> None:
    """What was held back comes out, harmless; an endless beginning is not held for ever."""
    stream = SafeStream()
    stream.feed("\x1b[31")
    assert stream.flush() == "\\x1b[31"
    assert stream.flush() == ""
    assert stream.feed("\x1b[" + "1;" * 100).startswith("\\x1b[1;")
