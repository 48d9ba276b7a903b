"""Texts with `{name}` in them, filled from the arguments of a command. Pure.

A name is letters, digits, `_` and `-`. A name that has no value stays as it is, braces included;
so does anything else in braces: there is no format, no attribute, no index. What is filled in is
not looked at again.

How a value is written:

========================  ==========================================================
text                      as it is
bytes                     as the UTF-8 text that they are
whole number              in digits, even when it came as 1e+06 or 1000000.0
other number              as short as it can be read back: 0.1, 1e-07
true, false, null         `true`, `false`, nothing
list, map                 as JSON
time (MessagePack)        as RFC 3339 has it
========================  ==========================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from corex_shared.errors import BadRequestError

_NAME = re.compile(r"\{([\w-]+)\}")
# In a script `${name}` is the shell's own, and `\{` its way to write a brace.
_SCRIPT_NAME = re.compile(r"(?<![$\\])\{([\w-]+)\}")


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Put values where their names are; the outcome is one text, whatever they hold.

    Raises:
        BadRequestError: a value that is wanted cannot be written; the error names it.
    """

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        return write(name, values[name]) if name in values else found[0]

    return _NAME.sub(replaced, template)


def fill_script(
    template: str, values: Mapping[str, Any], variable: str
) -> tuple[str, dict[str, str]]:
    r"""Put references to values into a script for `sh`, where their names are.

    No value becomes part of the script: each is in a variable, so that nothing that it holds is
    ever run. A reference is one word, both on its own and within double quotes; within single
    quotes the shell sees no reference. `${name}` and `\{name}` are left to the shell.

    Args:
        template: the script.
        values: by name.
        variable: how the names of variables begin; a number follows.

    Returns:
        The script, and the variables that it needs.

    Raises:
        BadRequestError: a value that is wanted cannot be written; the error names it.
    """
    variables: dict[str, str] = {}
    known: dict[str, str] = {}

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            return found[0]
        if name not in known:
            known[name] = f"{variable}{len(known) + 1}"
            variables[known[name]] = write(name, values[name])
        # "${x}" alone would end double quotes around it; inside of ${x+…} it does not.
        return f'${{{known[name]}+"${{{known[name]}}}"}}'

    return _SCRIPT_NAME.sub(replaced, template), variables


def write(name: str, value: object) -> str:
    """Write a value as a text for a program's arguments.

    Args:
        name: of the value, for errors.
        value: as it came in JSON or MessagePack.

    Raises:
        BadRequestError: it has no such form, or holds a NUL.
    """
    text = _written(name, value)
    if "\0" in text:
        raise BadRequestError(f"{name}: it holds a NUL, which no argument of a program can")
    return text


def _written(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(name, value)
    if isinstance(value, bytes | bytearray):
        return _decoded(name, value)
    return _json(name, value)


def _number(name: str, value: float) -> str:
    if not math.isfinite(value):
        raise BadRequestError(f"{name}: {value} is not a number")
    return str(int(value)) if value.is_integer() else repr(value)


def _decoded(name: str, value: bytes | bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{name}: bytes that are no UTF-8 text") from error


def _json(name: str, value: object) -> str:
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequestError(f"{name}: it cannot be written as JSON: {error}") from error
    return text[1:-1] if text.startswith('"') else text  # a time
