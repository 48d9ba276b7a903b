"""Commands as people would write them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from corex.questions.jobs import JobCommand

_SPECIAL = frozenset('"$`\\!')
"""What means something to a shell between double quotes."""


def command_text(command: JobCommand) -> str:
    """Write a command in one line: a program with its arguments, a script, or name and arguments.

    Arguments that do not have the form that they should have are written as JSON.
    """
    arguments = command.arguments or {}
    if command.command == "core.system":
        words = _words(arguments)
        if words is not None:
            return " ".join(map(_quoted, words))
    script = arguments.get("script")
    if command.command == "bash" and isinstance(script, str):
        return _one_line(script)
    return " ".join([command.command, *(_pair(name, arguments[name]) for name in arguments)])


def _words(arguments: Mapping[str, Any]) -> list[str] | None:
    name, rest = arguments.get("name"), arguments.get("args") or []
    if not isinstance(name, str) or not isinstance(rest, list):
        return None
    return [name, *(word if isinstance(word, str) else _json(word) for word in rest)]


def _quoted(word: str) -> str:
    """Quote a word for a shell, as plainly as it can be."""
    if "'" in word and not _SPECIAL.intersection(word):
        return f'"{word}"'
    return shlex.quote(word)


def _one_line(script: str) -> str:
    """Join the lines of a script, without empty ones and comments."""
    lines = [line.strip() for line in script.splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("#"))


def _pair(name: str, value: Any) -> str:
    return f"{name}={value if isinstance(value, str) else _json(value)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
