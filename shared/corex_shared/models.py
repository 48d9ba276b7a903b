"""What travels: commands, results, messages, and what is known of a node.

The fields and their meaning are in docs/protocol.md. A field whose value is None is left out on
the wire, and a null read from the wire means the same as an absent field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from corex_shared.errors import JobFailed
from corex_shared.identifiers import ID_PATTERN
from corex_shared.states import LAST_FLAGS, JobState

Identifier = Annotated[str, Meta(pattern=ID_PATTERN)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
LevelNumber = Annotated[int, Meta(ge=0, le=255)]


class Command(Struct, frozen=True, omit_defaults=True):
    """What a caller asks of a node; immutable.

    Times ending in `_at` are milliseconds since the epoch; all others are seconds.
    """

    command: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: dict[str, Any] | None = None
    id: Identifier | None = None
    queue: Identifier | None = None
    queue_scope: Literal["node", "fleet"] | None = None
    max_time: Seconds | None = None
    grace: Seconds | None = None
    max_restart: Count | None = None
    recurring_period: Seconds | None = None
    expires_at: Count | None = None
    on_lost: Literal["report", "retry"] | None = None
    stream: bool | None = None
    log_levels: list[LevelNumber] | None = None
    stats_interval: Seconds | None = None
    tags: list[str] | None = None
    reply_to: Identifier | None = None

    @property
    def job_id(self) -> str:
        """The job ID of a command that has one.

        Raises:
            ValueError: it has none yet.
        """
        if self.id is None:
            raise ValueError("the command has no ID yet")
        return self.id


class JobResult(Struct, frozen=True):
    """The outcome of a job.

    `starttime` is milliseconds since the epoch; `time` (of the last attempt) and `queued` (from
    claim to first start) are milliseconds. `streams` holds the last part of stdout and stderr,
    `truncated` says that there was more; the byte counts are of everything that was written.
    """

    id: str
    command: str
    node: str
    state: JobState
    code: int
    signal: int = 0
    data: str = ""
    level: int = 0
    streams: tuple[str, str] = ("", "")
    critical: str = ""
    starttime: int = 0
    time: int = 0
    queued: int = 0
    attempts: int = 0
    tags: list[str] = field(default_factory=list)
    container: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    truncated: bool = False
    survivors: int = 0

    @property
    def ok(self) -> bool:
        """Whether the job succeeded."""
        return self.state is JobState.SUCCESS

    @property
    def stdout(self) -> str:
        """The last part of what the job wrote to its standard output."""
        return self.streams[0]

    @property
    def stderr(self) -> str:
        """The last part of what the job wrote to its standard error."""
        return self.streams[1]

    def check(self) -> JobResult:
        """Return the result itself if the job succeeded.

        Raises:
            JobFailed: it did not.
        """
        if not self.ok:
            raise JobFailed(self)
        return self


class Message(Struct, frozen=True):
    """One message of a job; `seq` counts from 0 without gaps, `epoch` is nanoseconds."""

    job: str
    node: str
    seq: int
    level: int
    flags: int
    message: str
    epoch: int

    @property
    def text(self) -> str:
        """The text of the message."""
        return self.message

    @property
    def is_last(self) -> bool:
        """Whether no further message of the job follows."""
        return bool(self.flags & LAST_FLAGS)


class NodeInfo(Struct, frozen=True):
    """What a node's heartbeat says of it.

    `started` and `last_seen` are milliseconds since the epoch, `load` is the one-minute load
    average; `lease` is for how many seconds the node's lease is renewed, `heartbeat` how many are
    between two renewals. A node that is not `alive` has only its `id` and `last_seen`.
    """

    id: str
    alive: bool
    last_seen: int
    incarnation: str = ""
    version: str = ""
    host: str = ""
    pid: int = 0
    started: int = 0
    groups: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    load: float = 0.0
    slots: int = 0
    running: int = 0
    queued: int = 0
    quiet: bool = False
    lease: float = 0.0
    heartbeat: float = 0.0
