"""States of results, stages of jobs, levels and flags of messages, and what follows what.

All of it is data: nothing here reads a clock or a key. The values are those of the wire
(docs/protocol.md).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobState(StrEnum):
    """How a job ended."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    KILLED = "KILLED"
    UNKNOWN_CMD = "UNKNOWN_CMD"
    DUPLICATE_ID = "DUPILICATE_ID"  # spelled so on the wire, as its ancestors do
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    LOST = "LOST"


class Stage(StrEnum):
    """Where an unfinished job is.

    `CLAIMED` → `RUNNING` → (`WAITING` → `RUNNING`)* → `FINISHED`. A job is `WAITING` before its
    first run while another of its queue runs, and between two runs while it backs off.
    """

    CLAIMED = "claimed"
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


NEXT_STAGES: dict[Stage, frozenset[Stage]] = {
    Stage.CLAIMED: frozenset({Stage.WAITING, Stage.RUNNING, Stage.FINISHED}),
    Stage.WAITING: frozenset({Stage.RUNNING, Stage.FINISHED}),
    Stage.RUNNING: frozenset({Stage.WAITING, Stage.FINISHED}),
    Stage.FINISHED: frozenset(),
}
"""Which stages may follow each stage."""

CODES: dict[JobState, int] = {
    JobState.SUCCESS: 0,
    JobState.TIMEOUT: 504,
    JobState.KILLED: 499,
    JobState.UNKNOWN_CMD: 404,
    JobState.DUPLICATE_ID: 409,
    JobState.EXPIRED: 410,
    JobState.LOST: 503,
}
"""Code of the states that have only one."""

NEVER_STARTED: frozenset[JobState] = frozenset(
    {JobState.UNKNOWN_CMD, JobState.DUPLICATE_ID, JobState.EXPIRED, JobState.REJECTED}
)
"""States of commands that were not run at all."""

EXIT_CODE_BASE = 1000
"""A process that exits with n ≠ 0 gives code 1000 + n."""

SIGNAL_CODE_BASE = 1128
"""A process that dies of signal s, unasked, gives code 1128 + s."""


class Level(IntEnum):
    """What a message is."""

    STDOUT = 1
    STDERR = 2
    PUBLIC = 3
    OPERATOR = 4
    UNKNOWN = 5
    STRUCTURED = 6
    WARNING = 7
    OPS_ERROR = 8
    CRITICAL = 9
    STATSD = 10
    DEBUG = 11
    JSON = 20
    YAML = 21
    TOML = 22
    HRD = 23
    JOB = 30


RESULT_LEVELS: frozenset[int] = frozenset(
    {Level.JSON, Level.YAML, Level.TOML, Level.HRD, Level.JOB}
)
"""Levels whose last message becomes the `data` of the result."""

DEFAULT_LOG_LEVELS: frozenset[int] = frozenset(
    {Level.STDERR, Level.OPERATOR, Level.WARNING, Level.OPS_ERROR, Level.CRITICAL}
)
"""Levels that go to a node's log channel unless it or the command says otherwise."""


class Flag(IntEnum):
    """Bits of a message's `flags`."""

    STREAM = 1
    SUCCESS = 2  # the last message of a job that succeeded
    ERROR = 4  # the last message of a job that did not


LAST_FLAGS = Flag.SUCCESS | Flag.ERROR
"""A message with one of these bits is the last of its job."""
