"""Conditions of services and of their arguments. Pure.

::

    condition = "true" | "false" | name
              | "and(" condition { "," condition } ")"
              | "or(" condition { "," condition } ")"
              | "not(" condition ")"
    name      = letters, digits and _ . : / -

A name holds when it is among the node's labels and options. Blanks may stand between all of these;
a text of blanks alone is `true`, as a service without a condition starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from corex_shared.errors import CorexError

LONGEST = 4096
"""Characters of a condition."""
DEEPEST = 32
"""Conditions within each other."""

_TOKEN = re.compile(r"[A-Za-z0-9_.:/-]+|[(),]")
_BLANKS = re.compile(r"[ \t\r\n]*")
_SHOWN = 80


class ConditionError(CorexError, ValueError):
    """A text that is no condition.

    Attributes:
        text: the whole of it.
        position: of the first character at fault, from 0.
        reason: what is wrong there.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text = text
        self.position = position
        self.reason = reason
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        super().__init__(f"condition {shown!r}: at character {position + 1}: {reason}")


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool

    def holds(self, names: Collection[str]) -> bool:
        """Tell it, whatever there is."""
        del names
        return self.value

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Name:
    """A label or option that must be there."""

    name: str

    def holds(self, names: Collection[str]) -> bool:
        """Tell whether it is among those that there are."""
        return self.name in names

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    def holds(self, names: Collection[str]) -> bool:
        """Tell whether the condition does not hold."""
        return not self.part.holds(names)

    def __str__(self) -> str:
        return f"not({self.part})"


@dataclass(frozen=True, slots=True)
class All:
    """Conditions of which all must hold."""

    parts: tuple[Condition, ...]

    def holds(self, names: Collection[str]) -> bool:
        """Tell whether they do."""
        return all(part.holds(names) for part in self.parts)

    def __str__(self) -> str:
        return f"and({','.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class Some:
    """Conditions of which one must hold."""

    parts: tuple[Condition, ...]

    def holds(self, names: Collection[str]) -> bool:
        """Tell whether one does."""
        return any(part.holds(names) for part in self.parts)

    def __str__(self) -> str:
        return f"or({','.join(map(str, self.parts))})"


Condition = Constant | Name | Not | All | Some


def parse(text: str) -> Condition:
    """Read a condition; `str` of it is read as an equal one.

    Raises:
        ConditionError: it is none, longer than `LONGEST` or deeper than `DEEPEST`.
    """
    if len(text) > LONGEST:
        raise ConditionError(text, LONGEST, f"longer than {LONGEST} characters")
    reader = _Reader(text)
    if reader.at_end():
        return Constant(True)
    condition = reader.condition(1)
    if not reader.at_end():
        raise reader.error(f"{reader.shown()} after the end of the condition")
    return condition


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip_blanks()

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._text)

    def shown(self) -> str:
        """The next character, for people."""
        return "the end" if self.at_end() else repr(self._text[self._at])

    def error(self, reason: str) -> ConditionError:
        """Make an error of this place."""
        return ConditionError(self._text, self._at, reason)

    def condition(self, depth: int) -> Condition:
        """Read a condition that is within `depth` - 1 others."""
        if depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} conditions within each other")
        word = self._peek()
        if not word or word in "(),":
            raise self.error(f"a condition expected, not {self.shown()}")
        begun = self._at
        self._take(word)
        if word in ("and", "or", "not"):
            return self._joined(word, depth)
        if self._peek() == "(":
            raise ConditionError(
                self._text, begun, f"{word} takes no arguments; and, or, not do, in small letters"
            )
        return Constant(word == "true") if word in ("true", "false") else Name(word)

    def _joined(self, word: str, depth: int) -> Condition:
        self._expect("(", f"{word} is followed by its conditions in brackets")
        parts = [self.condition(depth + 1)]
        while word != "not" and self._peek() == ",":
            self._take(",")
            parts.append(self.condition(depth + 1))
        self._expect(")", ") expected" if word == "not" else ", or ) expected")
        if word == "not":
            return Not(parts[0])
        return All(tuple(parts)) if word == "and" else Some(tuple(parts))

    def _peek(self) -> str:
        found = _TOKEN.match(self._text, self._at)
        return found[0] if found else ""

    def _take(self, token: str) -> None:
        self._at += len(token)
        self._skip_blanks()

    def _expect(self, token: str, reason: str) -> None:
        if self._peek() != token:
            raise self.error(f"{reason}, not {self.shown()}")
        self._take(token)

    def _skip_blanks(self) -> None:
        found = _BLANKS.match(self._text, self._at)
        if found:
            self._at = found.end()


def select(arguments: Mapping[str, Any], holds: Callable[[Condition], bool]) -> dict[str, Any]:
    """Choose among arguments of which some are conditional.

    `condition|key` gives a value to `key` when its condition holds, in place of that of a plain
    `key`; of several that hold, the last one decides. Blanks around the bar do not count. What is
    below the keys is left as it is.

    Args:
        arguments: by key, with or without a condition.
        holds: tells whether a condition holds.

    Raises:
        ConditionError: a condition cannot be read, whether or not it would have counted, or no
            key follows it.
    """
    chosen: dict[str, Any] = {}
    conditional: dict[str, Any] = {}
    for written, value in arguments.items():
        text, bar, key = written.partition("|")
        if not bar:
            chosen[written] = value
            continue
        condition = parse(text)
        if not text.strip() or not key.strip():
            raise ConditionError(written, len(text), "CONDITION|KEY expected")
        if holds(condition):
            conditional[key.strip()] = value
    return chosen | conditional
