"""Pages of the guide, as the blocks of code that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})(?P<info>.*)$")
_INFO = re.compile(r'^(?P<language>[a-z]+)(?: title="(?P<title>[^"]+)")?$')


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: the file that it is in.
        line: number of its first line in there, from 1.
        language: what follows the fence.
        title: its title, "" for none.
        text: what it holds.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, as editors understand it."""
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Read a page.

    Raises:
        AssertionError: a block is indented, not closed, or has no language.
    """
    return list(_blocks(page, iter(enumerate(page.read_text().splitlines(keepends=True), 1))))


def _blocks(page: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Block]:
    for number, line in lines:
        fence = _FENCE.match(line.rstrip("\n"))
        if fence is None:
            continue
        place = f"{page}:{number}"
        assert not fence["indent"], f"{place}: a block that is indented would be run by nobody"
        info = _INFO.match(fence["info"].strip())
        assert info, f"{place}: {fence['info']!r}: a language, perhaps with a title, expected"
        text = _until(lines, fence["ticks"], place)
        yield Block(page, number + 1, info["language"], info["title"] or "", text)


def _until(lines: Iterator[tuple[int, str]], ticks: str, place: str) -> str:
    text: list[str] = []
    for _, line in lines:
        if line.rstrip("\n") == ticks:
            return "".join(text)
        text.append(line)
    raise AssertionError(f"{place}: the block is not closed")
