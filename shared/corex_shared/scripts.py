"""The Lua scripts, by name; each file in `lua/` documents its keys, arguments and answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

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


def _read(name: str) -> Script:
    text = files("corex_shared").joinpath("lua", f"{name}.lua").read_bytes()
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
