"""The Lua scripts, by name; each file in `lua/` documents its keys, arguments and answer.

A line `-- include NAME` stands for the text of `lua/parts/NAME.lua`: functions of several scripts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

Argument = str | bytes | int
Call = tuple[Argument, ...]
"""One Redis command with its arguments."""


@dataclass(frozen=True, slots=True)
class Script:
    """One script and the digest by which Redis knows it."""

    name: str
    text: bytes
    sha: str

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Call:
        """Make the command that runs the script on these keys."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


@dataclass(frozen=True, slots=True)
class Spread:
    """A script over many items whose keys are in many slots, each item's in one.

    Where one server has them all it is one command; on a Cluster it is one for each slot, and the
    answers are put together as if it had been one. So such a script answers either with a list
    that has an entry for each item, in order, or with a number that is a sum over the items.

    Attributes:
        script: the script.
        shared: arguments that come first, the same for all items.
        keys: of the items, one item's after another's.
        arguments: of the items, likewise.
        keys_each: how many keys an item has.
        arguments_each: how many arguments.
        elsewhere: which of an item's keys may be in another slot, counted from 0. On a Cluster the
            item's first key stands in for it; a script must take that to mean none.
        hints: makes, of the answers for the items, the commands that do on a Cluster what the
            script could not. They are run after it, and lost if that fails.
    """

    script: Script
    shared: Sequence[Argument]
    keys: Sequence[str]
    arguments: Sequence[Argument]
    keys_each: int
    arguments_each: int = 0
    elsewhere: Sequence[int] = ()
    hints: Callable[[Sequence[Any]], list[Call]] | None = None

    def call(self) -> Call:
        """Make the one command for all items."""
        return self.script.call(self.keys, [*self.shared, *self.arguments])

    def first_keys(self) -> Sequence[str]:
        """The first key of each item, which tells its slot."""
        return self.keys[:: self.keys_each]

    def part(self, items: Iterable[int]) -> Call:
        """Make the command for some of the items, which are in one slot of a Cluster."""
        keys: list[str] = []
        arguments: list[Argument] = list(self.shared)
        for item in items:
            own = list(self.keys[item * self.keys_each : (item + 1) * self.keys_each])
            for other in self.elsewhere:
                own[other] = own[0]
            keys += own
            at = item * self.arguments_each
            arguments += self.arguments[at : at + self.arguments_each]
        return self.script.call(keys, arguments)

    @staticmethod
    def joined(parts: Sequence[tuple[Sequence[int], Any]]) -> Any:
        """Put the answers for parts together.

        Args:
            parts: for each the items that it was of, and its answer.
        """
        if not all(isinstance(answer, list) for _, answer in parts):
            return sum(answer for _, answer in parts)
        placed: dict[int, Any] = {}
        for items, answer in parts:
            placed.update(zip(items, answer, strict=True))
        return [placed[item] for item in range(len(placed))]


class Barrier(Enum):
    """Between two steps: what follows is done after what came before, whatever slots it is in.

    It is no command and has no answer; one server does everything in order anyway.
    """

    HERE = "here"


Step: TypeAlias = Call | Spread | Barrier
"""What is run in one round trip with others."""


def whole(step: Step) -> Call:
    """Make the one command that a step is where one server has all keys.

    Raises:
        TypeError: it is a barrier.
    """
    if isinstance(step, Barrier):
        raise TypeError("a barrier is no command")
    return step.call() if isinstance(step, Spread) else step


_INCLUDE = re.compile(rb"^-- include (\w+)$", re.MULTILINE)


def _read(name: str) -> Script:
    folder = files("corex_shared").joinpath("lua")

    def part(line: re.Match[bytes]) -> bytes:
        found = folder.joinpath("parts", f"{line[1].decode()}.lua").read_bytes()
        return _INCLUDE.sub(part, found)

    text = _INCLUDE.sub(part, folder.joinpath(f"{name}.lua").read_bytes())
    # Redis names scripts by SHA-1; nothing here depends on its strength.
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


@cache
def script(name: str) -> Script:
    """Read a script of the `lua` folder by its name without ending."""
    return _read(name)


def all_scripts() -> list[Script]:
    """Read every script of the `lua` folder."""
    folder = files("corex_shared").joinpath("lua")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return [script(name.removesuffix(".lua")) for name in names]


_SHOWN_KEYS = 4


def describe(call: Call) -> str:
    """Name a command and the keys that it is about, for people; nothing else of its arguments."""
    name, *arguments = (_text(argument) for argument in call[:2])
    if name == "EVALSHA":
        known = {found.sha: found.name for found in all_scripts()}
        keys = [_text(key) for key in call[3 : 3 + int(call[2])]]
        name, shown = f"script {known.get(arguments[0], '?')}", [key for key in keys if key]
    else:
        shown = arguments
    more = " …" if len(shown) > _SHOWN_KEYS else ""
    return " ".join([name, *shown[:_SHOWN_KEYS]]) + more


def _text(argument: Argument) -> str:
    return argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)
