"""Signals that jobs are sent: which there are, and which are meant to end a job. Pure."""

from __future__ import annotations

import signal

from corex_shared.errors import BadRequestError

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT})
_LAST = 64


def check_signal(number: int) -> None:
    """See that a signal exists.

    Raises:
        BadRequestError: it does not.
    """
    if not 0 < number <= _LAST:
        raise BadRequestError(f"signal: {number}: 1 to {_LAST} expected")
