"""The Lua scripts, by name; each file in `lua/` documents its keys, arguments and answer.

A line `-- include NAME` stands for the text of `lua/parts/NAME.lua`: functions of several scripts.
"""

from __future__ import annotations

import hashlib
import re
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


_INCLUDE = re.compile(rb"^-- include (\w+)$", re.MULTILINE)


def _read(name: str) -> Script:
    folder = files("corex_shared").joinpath("lua")

    def part(line: re.Match[bytes]) -> bytes:
        return folder.joinpath("parts", f"{line[1].decode()}.lua").read_bytes()

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
