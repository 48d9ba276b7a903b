"""What commands print, other than live output."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from corex.cli.escape import safe, safe_line
from corex.cli.exits import has_exit_code
from corex_shared.codec import decode_data
from corex_shared.errors import DecodeError
from corex_shared.models import JobResult
from corex_shared.states import JobState, Level


def say(text: str) -> None:
    """Write a line about this command itself to stderr."""
    _write(sys.stderr, f"corex: {safe_line(text)}\n")


def put(text: str, *, raw: bool = False) -> None:
    """Write text to stdout, harmless when that is a terminal, unless told to leave it raw."""
    _write(sys.stdout, text, raw=raw)


def put_error(text: str, *, raw: bool = False) -> None:
    """Write text to stderr, harmless when that is a terminal, unless told to leave it raw."""
    _write(sys.stderr, text, raw=raw)


def put_line(text: str, *, raw: bool = False) -> None:
    """Write text to stdout and end the line. See `put`."""
    put(text if text.endswith("\n") else f"{text}\n", raw=raw)


def put_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    put_line(msgspec.json.encode(value).decode())


def _write(file: Any, text: str, *, raw: bool = False) -> None:
    if file.isatty() and not raw:
        text = safe(text)
    file.flush()
    file.buffer.write(text.encode(errors="replace"))
    file.buffer.flush()


def pretty(result: JobResult) -> str:
    """Write what a command answered for people: strings as they are, the rest as indented JSON."""
    if result.level != Level.JSON:
        return result.data
    try:
        value = decode_data(result.data)
    except DecodeError:
        return result.data
    if isinstance(value, str):
        return value
    return msgspec.json.format(result.data, indent=2)


def failure(result: JobResult) -> str:
    """Say in a line why a job did not succeed."""
    if has_exit_code(result):
        if result.signal:
            return f"{result.node}: died of signal {result.signal}"
        return f"{result.node}: exit code {result.code - 1000}"
    if result.state is JobState.UNKNOWN_CMD:
        return f"{result.node}: no such command: {result.command}"
    why = result.critical or (pretty(result) if result.data else "")
    text = f"{result.node}: {result.state.value} {result.code}"
    return f"{text}: {why}" if why else text
