"""Exit codes.

====  ==========================================================================================
0     all succeeded
n     what the one target's process exited with; 128 + s when it died of signal s
1     one of several failed, was unreachable or skipped, or any failure without a code of its own
2     usage: an option, a target or JSON that makes no sense
3     no such node, job or run, nothing answered, or Redis cannot be reached
124   the one target's job reached its `max_time`, or this command its `--timeout`
130   ended by Ctrl-C; 128 + s by another signal s
137   the one target's job was killed because someone asked
====  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from corex_shared.errors import (
    ConfigError,
    CorexError,
    DecodeError,
    InvalidIdError,
    NoSuchNodeError,
    NoSuchRunError,
    StoreError,
    WaitTimeout,
)
from corex_shared.models import JobResult
from corex_shared.states import EXIT_CODE_BASE, JobState

FAILED = 1
USAGE = 2
NO_ANSWER = 3
TIMED_OUT = 124
INTERRUPTED = 130
KILLED = 137
BROKEN_PIPE = 141

_LARGEST = 255


def exit_code(result: JobResult) -> int:
    """Translate the outcome of one job."""
    if result.ok:
        return 0
    if result.state is JobState.TIMEOUT:
        return TIMED_OUT
    if result.state is JobState.KILLED:
        return KILLED
    if result.state is JobState.ERROR and has_exit_code(result):
        return result.code - EXIT_CODE_BASE
    return FAILED


def has_exit_code(result: JobResult) -> bool:
    """Tell whether the code of a result is that of a process that ran."""
    return EXIT_CODE_BASE < result.code <= EXIT_CODE_BASE + _LARGEST


def exit_code_of_all(results: Sequence[JobResult]) -> int:
    """Translate the outcomes of all targets."""
    if len(results) == 1:
        return exit_code(results[0])
    return 0 if all(result.ok for result in results) else FAILED


def exit_code_of_error(error: CorexError) -> int:
    """Translate an error that ended a command."""
    if isinstance(error, ConfigError | InvalidIdError | DecodeError):
        return USAGE
    if isinstance(error, NoSuchNodeError | NoSuchRunError | StoreError | WaitTimeout):
        return NO_ANSWER
    return FAILED
