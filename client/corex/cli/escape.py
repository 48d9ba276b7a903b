r"""Remote text on a terminal.

A terminal obeys control sequences: they can retitle it, rewrite what is on it, or make it type.
So of what a remote machine wrote, only text, line breaks, tabs and colours reach a terminal; any
other control character is shown as `\x1b` and the like. Into a file or a pipe everything goes as
it is.
"""

from __future__ import annotations

import re

_COLOUR = r"\x1b\[[0-9;:]*m"
_HARMFUL = re.compile(
    rf"({_COLOUR})|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]*)?\Z")
_LONGEST_COLOUR = 64


def safe(text: str) -> str:
    """Make text harmless to a terminal, keeping colours (`ESC [ … m`).

    Besides C0 and C1 controls this shows the marks that reorder text on the screen, with which a
    line can be made to look like another.
    """
    return _HARMFUL.sub(_show, text)


def _show(match: re.Match[str]) -> str:
    return match.group(1) or _show_all(match)


def safe_line(text: str) -> str:
    """Make text harmless and one line: for messages of our own that quote a remote machine."""
    return safe(" ".join(text.split()))


def safe_cell(text: str) -> str:
    """Make text harmless, one line, and as wide as it looks: a colour is shown, too."""
    return _CONTROL.sub(_show_all, " ".join(text.split()))


def _show_all(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


class SafeStream:
    """`safe` for text that comes in pieces, a colour sequence perhaps in two of them."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take a piece; returns what may be written now."""
        text = self._rest + text
        self._rest = ""
        unfinished = _UNFINISHED.search(text)
        if unfinished and len(unfinished.group()) < _LONGEST_COLOUR:
            self._rest = unfinished.group()
            text = text[: unfinished.start()]
        return safe(text)

    def flush(self) -> str:
        """Return what was held back."""
        rest, self._rest = self._rest, ""
        return safe(rest)
