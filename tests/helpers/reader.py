"""A reader of the guide who does all that a page says, and compares.

What a block means is told by its language and its title (CONTRIBUTING.md has the same table):

=========================  =====================================================================
`python`                   run, with the names of the blocks before it
`python`, title a file's   written to that file
`output`                   what the Python block before it has printed
`console`                  lines behind `$` (and `>`) are run by a shell, the others are what they
                           print; a command that fails is followed by `$ echo $?`; one with
                           a `…` is a line that a terminal has shown
`console`, with a title    a terminal of its own whose last command need not end
`toml`                     settings of a node; with a title also written to that file
`text`                     not run
=========================  =====================================================================

`…` in what is shown stands for anything within a line, and a line of it for any number of lines.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from corex import Client
from corex_node.config import load
from tests.helpers.pages import Block, blocks_of
from tests.helpers.shell import Shell

LANGUAGES = frozenset({"console", "output", "python", "text", "toml"})
_ANY = "…"
_COLUMNS = re.compile(r" {2,}")


class Reader:
    """Reads one page from top to bottom."""

    def __init__(
        self, page: Path, folder: Path, env: Mapping[str, str], places: Mapping[str, Path]
    ) -> None:
        """Open a page; nothing is run yet.

        Args:
            page: its file.
            folder: where files are written and commands are run; Python's is the test's to set.
            env: the environment of commands; Python's is the test's to set.
            places: what stands for folders that the page names, such as `/srv`.
        """
        self._blocks = [_at_places(block, places) for block in blocks_of(page)]
        self._folder = folder
        self._env = env
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed: str | None = None
        self._closers = contextlib.ExitStack()
        self._shell: Shell | None = None
        self._terminals: list[Shell] = []

    def read(self) -> None:
        """Do all that it says.

        Raises:
            AssertionError: something is not as the page says; tells the line.
        """
        with self._closers:
            self._closers.callback(self._close_clients)
            for block in self._blocks:
                assert block.language in LANGUAGES, f"{block.place}: no reader knows what to do"
                printed, self._printed = self._printed, None
                if block.language == "output":
                    assert printed is not None, f"{block.place}: no Python block before it"
                    _compare(block.place, block.text, printed)
                else:
                    self._do(block)

    def _do(self, block: Block) -> None:
        if block.language in {"python", "toml"} and block.title:
            (self._folder / block.title).write_text(block.text)
        if block.language == "toml":
            path = self._folder / (block.title or "shown.toml")
            path.write_text(block.text)
            load(path)
        elif block.language == "console":
            self._type(block)
        elif block.language == "python" and not block.title:
            self._run_python(block)

    def _run_python(self, block: Block) -> None:
        # As many empty lines before it as there are in the page: a traceback has the page's lines.
        code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self._names)
        self._printed = printed.getvalue()

    def _type(self, block: Block) -> None:
        commands = _typed(block)
        assert commands, f"{block.place}: nothing to run"
        if block.title:
            shell = self._closers.enter_context(contextlib.closing(self._new_shell()))
            *first, last = commands
            self._run_all(shell, first)
            shell.begin(last.text)
            pattern = re.compile(_pattern(last.shown))
            shell.wait_for(lambda text: pattern.match(_tidy(text)) is not None)
            self._terminals.append(shell)
            return
        if self._shell is None:
            self._shell = self._closers.enter_context(contextlib.closing(self._new_shell()))
        self._run_all(self._shell, commands)

    def _run_all(self, shell: Shell, commands: list[_Typed]) -> None:
        """Run commands; one that fails must be followed by one that shows so."""
        for command, following in zip_longest(commands, commands[1:]):
            code, text = shell.run(self._said_before(command))
            expected = code == 0 or (following and following.text == "echo $?")
            assert expected, f"{command.place}: {command.text}: {code}:\n{text}"
            if command.shown:
                _compare(command.place, command.shown, text)

    def _said_before(self, command: _Typed) -> str:
        """Complete a command with a `…`: a line that a terminal has shown."""
        if _ANY not in command.text:
            return command.text
        lines = [
            line.strip() for terminal in self._terminals for line in terminal.text.splitlines()
        ]
        found = [line for line in lines if re.fullmatch(_pattern(command.text).strip(), line)]
        assert found, f"{command.place}: no terminal has shown this command"
        return found[-1]

    def _new_shell(self) -> Shell:
        return Shell(self._folder, self._env)

    def _close_clients(self) -> None:
        for value in self._names.values():
            if isinstance(value, Client):
                value.close()


def _at_places(block: Block, places: Mapping[str, Path]) -> Block:
    text = block.text
    for name, place in places.items():
        text = re.sub(rf"(?<![\w/]){name}\b", str(place), text)
    return replace(block, text=text)


@dataclass
class _Typed:
    """A command of a console, and what is shown of its output."""

    place: str
    text: str
    shown: str = ""


def _typed(block: Block) -> list[_Typed]:
    """Part a console into its commands."""
    found: list[_Typed] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        place = f"{block.page}:{number}"
        if line.startswith("$ "):
            found.append(_Typed(place, line.removeprefix("$ ")))
            continue
        assert found, f"{place}: a command expected: $ …"
        if line.startswith("> ") and not found[-1].shown:
            found[-1].text += "\n" + line.removeprefix("> ")
        else:
            found[-1].shown += f"{line}\n"
    return found


def _compare(place: str, shown: str, text: str) -> None:
    same = re.fullmatch(_pattern(shown), _tidy(text))
    assert same, f"{place}: shown:\n{shown}\nbut there was:\n{text}"


def _pattern(shown: str) -> str:
    lines = [
        r"(?:.*\n)*?" if line == _ANY else r"[^\n]*".join(map(re.escape, line.split(_ANY))) + "\n"
        for line in _tidy(shown).splitlines()
    ]
    return "".join(lines)


def _tidy(text: str) -> str:
    """Leave out what nobody sees: spaces at ends of lines, how far apart columns are."""
    lines = [_COLUMNS.sub("  ", line.rstrip()) for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines).strip("\n") + "\n"
