"""What commands print, other than live output."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from corex.cli.escape import safe, safe_line
from corex.cli.exits import has_exit_code
from corex_shared.codec import decode_data
from corex_shared.errors import DecodeError
from corex_shared.models import JobResult, NodeInfo
from corex_shared.states import JobState, Level


def say(text: str) -> None:
    """Write a line about this command itself to stderr."""
    _write(sys.stderr, f"corex: {safe_line(text)}\n")


def put(text: str) -> None:
    """Write text to stdout, harmless when that is a terminal."""
    _write(sys.stdout, text)


def put_error(text: str) -> None:
    """Write text to stderr, harmless when that is a terminal."""
    _write(sys.stderr, text)


def put_line(text: str) -> None:
    """Write text to stdout and end the line."""
    put(text if text.endswith("\n") else f"{text}\n")


def put_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    put_line(msgspec.json.encode(value).decode())


def _write(file: Any, text: str) -> None:
    if file.isatty():
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


def put_nodes(nodes: Sequence[NodeInfo]) -> None:
    """Write a table of nodes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("NODE", "STATE", "VERSION"):
        table.add_column(title, no_wrap=title == "NODE")
    for title in ("LOAD", "RUNNING", "QUEUED"):
        table.add_column(title, justify="right")
    for title in ("GROUPS", "LABELS", "SEEN"):
        table.add_column(title)
    for node in nodes:
        table.add_row(*(Text(safe_line(cell)) for cell in _row(node)))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)  # a pipe has no edge to wrap at
    console.print(table)


def _row(node: NodeInfo) -> list[str]:
    seen = _ago(time.time() - node.last_seen / 1000)
    if not node.alive:
        return [node.id, "gone", "", "", "", "", "", "", seen]
    return [
        node.id,
        "quiet" if node.quiet else "alive",
        node.version,
        f"{node.load:.2f}",
        f"{node.running}/{node.slots}",
        str(node.queued),
        ",".join(node.groups),
        ",".join(f"{key}={value}" for key, value in sorted(node.labels.items())),
        seen,
    ]


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
