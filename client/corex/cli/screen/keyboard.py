"""Keys, as a terminal sends them."""

from __future__ import annotations

import codecs

UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "up", "down", "page up", "page down", "home", "end"
ENTER, ESCAPE, TAB, BACKSPACE = "enter", "escape", "tab", "backspace"

_PLAIN = {"\r": ENTER, "\n": ENTER, "\t": TAB, "\x7f": BACKSPACE, "\x08": BACKSPACE}
_SEQUENCES = {
    "[A": UP,
    "[B": DOWN,
    "OA": UP,
    "OB": DOWN,
    "[5~": PAGE_UP,
    "[6~": PAGE_DOWN,
    "[H": HOME,
    "OH": HOME,
    "[1~": HOME,
    "[F": END,
    "OF": END,
    "[4~": END,
}
_ESC = "\x1b"
_LONGEST = 32


class Keyboard:
    """Reads keys out of what a terminal sends, which may come in pieces."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    @property
    def waits(self) -> bool:
        """Whether something came that may be a key, or the beginning of a sequence."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Take what came; returns the keys: a name, or the character that was typed."""
        self._rest += self._decoder.decode(data)
        keys: list[str] = []
        while self._rest:
            if self._rest[0] != _ESC:
                keys.append(_PLAIN.get(self._rest[0], self._rest[0]))
                self._rest = self._rest[1:]
                continue
            length = _length(self._rest)
            if not length:
                break
            key = _SEQUENCES.get(self._rest[1:length])
            self._rest = self._rest[length:]
            if key is not None:
                keys.append(key)
        return keys

    def flush(self) -> list[str]:
        """Say that nothing followed for a while: what is there is the Escape key."""
        rest, self._rest = self._rest, ""
        return [ESCAPE] if rest else []


def _length(text: str) -> int:
    """Tell how long the sequence is that a text begins with; 0 when it is not whole yet."""
    if len(text) < 2:
        return 0
    if text[1] == "O":
        return 3 if len(text) > 2 else 0
    if text[1] != "[":
        return 1 if text[1] == _ESC else 2
    for at, character in enumerate(text[2:], start=2):
        if "@" <= character <= "~":
            return at + 1
        if at > _LONGEST:
            return at + 1
    return 0
