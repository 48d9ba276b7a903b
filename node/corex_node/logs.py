"""The agent's own log: events with fields, for people on a terminal, as JSON elsewhere.

There is one for the process. Its level may be changed and its file reopened at any time, which
also holds for loggers that are bound already.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

import structlog

from corex_shared.errors import ConfigError

LEVELS = ("debug", "info", "warning", "error")
_STDERR = 2
_MODE = 0o640


class _BoundLogger(structlog.BoundLoggerBase):
    """Has the methods of structlog's logger for the level that is set.

    structlog has a class for each level, in which what is not written is an empty function. Loggers
    are bound to a class for good, so the methods of this one are exchanged: what is not written
    costs no more than there.
    """


class _Output:
    """Where lines go: standard error, or a file. Writing never raises."""

    def __init__(self) -> None:
        """Begin with standard error."""
        self._path: str | None = None
        self._descriptor = _STDERR
        self._lock = threading.Lock()
        self._torn = False  # the last line has no end
        self._lost = 0  # lines since the last that was written

    def open(self, path: str | None) -> None:
        """Write to a file from now on, or to standard error.

        Raises:
            OSError: it cannot be opened; nothing has changed.
        """
        opened = _STDERR if path is None else _open(path)
        with self._lock:
            former, self._descriptor = self._descriptor, opened
            self._path = path
            self._torn = False
        if former != _STDERR:
            os.close(former)

    def reopen(self) -> None:
        """Open what was opened last anew, by its name.

        Raises:
            OSError: it cannot be opened; nothing has changed.
        """
        self.open(self._path)

    def write(self, line: str) -> None:
        """Write a line, or count it as lost; the next that can be written is followed by that."""
        with self._lock:
            if not self._put(line):
                self._lost += 1
                return
            lost, self._lost = self._lost, 0
        if lost:
            structlog.get_logger().error("log.lost", lines=lost)

    debug = info = warning = error = critical = write  # as structlog calls it

    def _put(self, line: str) -> bool:
        begin = "\n" if self._torn else ""
        rest = f"{begin}{line}\n".encode("utf-8", "backslashreplace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
                self._torn = bool(rest)
        except OSError:  # disk full, reader gone: the agent has more to do than to log
            return False
        return True


_output = _Output()


def configure(level: str, form: str, file: str | None = None) -> None:
    """Set the log up.

    Args:
        level: lowest that is written, see `LEVELS`.
        form: console, json, or auto (console on a terminal).
        file: path of the file that it is appended to; None for standard error.

    Raises:
        ConfigError: the file cannot be opened.
    """
    try:
        _output.open(file)
    except (OSError, ValueError) as error:
        raise ConfigError("settings", "logging.file", f"it cannot be opened: {error}") from error
    on_terminal = file is None and sys.stderr.isatty()
    renderers: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=file is None,
                # rich's, which structlog prefers, shows local variables: what callers sent.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if form == "console" or (form == "auto" and on_terminal)
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    set_level(level)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=_BoundLogger,
        logger_factory=lambda *_: _output,
        cache_logger_on_first_use=True,
    )


def set_level(level: str) -> None:
    """Write events of this level (see `LEVELS`) and above from now on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    for name, method in vars(structlog.make_filtering_bound_logger(number)).items():
        if callable(method) and not name.startswith("_"):
            setattr(_BoundLogger, name, method)


def reopen() -> None:
    """Open the log's file anew, by its name: the former one may have been moved away.

    Raises:
        OSError: it cannot be opened; the former one is written on.
    """
    _output.reopen()


def _open(path: str) -> int:
    # A pipe that nobody reads is an error at once, not a wait for somebody.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, _MODE)
    os.set_blocking(descriptor, True)
    return descriptor
