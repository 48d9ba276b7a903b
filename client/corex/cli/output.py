"""Live output of jobs: stdout to stdout, stderr to stderr, each line with its node."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import BinaryIO, Protocol

from corex.cli.escape import SafeStream
from corex.streams import Gap
from corex_shared.models import Message
from corex_shared.states import RESULT_LEVELS, Flag, Level

_TO_STDOUT = frozenset({Level.STDOUT, Level.PUBLIC, Level.JSON, Level.YAML, Level.TOML, Level.HRD})
_NOT_SHOWN = frozenset({Level.STATSD, Level.JOB})
_RED, _DEFAULT = "\x1b[31m", "\x1b[39m"
_RAW = frozenset({Level.STDOUT, Level.STDERR})
"""Levels whose text comes as it was written, with its line breaks."""


class TextFile(Protocol):
    """What is needed of `sys.stdout`."""

    @property
    def buffer(self) -> BinaryIO: ...  # noqa: D102 - as in TextIO

    def isatty(self) -> bool: ...  # noqa: D102 - as in TextIO


class LiveOutput:
    """Writes messages as they come.

    With several targets each line is preceded by its node, and a line is written when it is
    whole, so that lines of two nodes do not mix. With one target everything is written at once.
    """

    def __init__(
        self,
        nodes: Mapping[str, str],
        *,
        out: TextFile | None = None,
        err: TextFile | None = None,
        raw: bool = False,
    ) -> None:
        """Prepare.

        Args:
            nodes: job ID → node, of all jobs whose messages will come.
            out: where stdout goes; ours if None.
            err: where stderr goes; ours if None.
            raw: pass everything on as it is, to a terminal too.
        """
        self._nodes = nodes
        self._prefixed = len(nodes) > 1
        self._raw = raw
        self._files: tuple[TextFile, TextFile] = (out or sys.stdout, err or sys.stderr)
        self._writers: dict[tuple[str, int], _Writer] = {}

    def show(self, message: Message) -> None:
        """Write a message; the last one of a job completes its lines."""
        if isinstance(message, Gap):
            self._writer(message.job, message.level).write(f"corex: {message.text}")
        elif message.message and not _is_silent(message):
            text = message.message
            if message.level not in _RAW and not text.endswith("\n"):
                text += "\n"
            self._writer(message.job, message.level).write(text)
        if message.is_last:
            self._flush(message.job)

    def finish(self) -> None:
        """Complete the lines of all jobs."""
        for job in self._nodes:
            self._flush(job)

    def _writer(self, job: str, level: int) -> _Writer:
        channel = 0 if level in _TO_STDOUT else 1
        writer = self._writers.get((job, channel))
        if writer is None:
            prefix = self._prefix(job, channel) if self._prefixed else ""
            writer = self._writers[job, channel] = _Writer(
                self._files[channel], prefix, raw=self._raw
            )
        return writer

    def _prefix(self, job: str, channel: int) -> str:
        """Make what precedes a line; that of stderr is red where colours are."""
        prefix = f"{self._nodes.get(job, '?')} | "
        in_colours = self._files[channel].isatty() and not os.environ.get("NO_COLOR")
        return f"{_RED}{prefix}{_DEFAULT}" if channel and in_colours else prefix

    def _flush(self, job: str) -> None:
        for channel in (0, 1):
            writer = self._writers.pop((job, channel), None)
            if writer is not None:
                writer.flush()


def _is_silent(message: Message) -> bool:
    """Tell whether a message is none for people, or says why the job failed: its result does."""
    failed = bool(message.flags & Flag.ERROR) and message.level in RESULT_LEVELS
    return failed or message.level in _NOT_SHOWN


class _Writer:
    """One stream of one job on its way to one of our files."""

    def __init__(self, file: TextFile, prefix: str, *, raw: bool) -> None:
        self._file = file
        self._prefix = prefix
        self._safe = SafeStream() if file.isatty() and not raw else None
        self._partial: list[str] = []

    def write(self, text: str) -> None:
        if self._safe is not None:
            text = self._safe.feed(text)
        if self._prefix:
            text = self._whole_lines(text)
        self._put(text)

    def flush(self) -> None:
        rest = self._safe.flush() if self._safe is not None else ""
        if self._prefix:
            rest = "".join([*self._partial, rest])
            self._partial.clear()
            if rest:
                rest = f"{self._prefix}{rest}\n"
        self._put(rest)

    def _whole_lines(self, text: str) -> str:
        """Keep the last, partial line; give each other one its prefix."""
        head, newline, rest = text.rpartition("\n")
        if not newline:
            self._partial.append(text)
            return ""
        lines = "".join([*self._partial, head]).split("\n")
        self._partial = [rest] if rest else []
        return "".join(f"{self._prefix}{line}\n" for line in lines)

    def _put(self, text: str) -> None:
        if text:
            self._file.buffer.write(text.encode(errors="replace"))
            self._file.buffer.flush()
