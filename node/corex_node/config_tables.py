"""The tables of a node's settings, with their defaults."""

from __future__ import annotations

import socket
from typing import Annotated

from msgspec import Meta, Struct, field

from corex_shared.codec import DEFAULT_LIMIT
from corex_shared.defaults import DEFAULT_URL
from corex_shared.identifiers import ID_PATTERN
from corex_shared.keys import DEFAULT_NAMESPACE
from corex_shared.models import Identifier
from corex_shared.states import DEFAULT_LOG_LEVELS

Positive = Annotated[int, Meta(ge=1)]
Size = Annotated[int, Meta(ge=1024)]
Duration = Annotated[float, Meta(ge=0, le=1e9)]
Interval = Annotated[float, Meta(gt=0, le=1e9)]
Factor = Annotated[float, Meta(ge=1, le=1000)]
_TEXT, _SOME_TEXT, _VARIABLE = r"^[^\0]*\Z", r"^[^\0]+\Z", r"^[^=\0]+\Z"
Text = Annotated[str, Meta(pattern=_TEXT)]
SomeText = Annotated[str, Meta(pattern=_SOME_TEXT)]
Variable = Annotated[str, Meta(pattern=_VARIABLE)]
_FORMAT, _LEVEL = r"^(auto|console|json)\Z", r"^(debug|info|warning|error)\Z"
_WHEN_LAPSED, _TELL_JOBS = r"^(run|stop)\Z", r"^(auto|always|never)\Z"
NAME_RULE = "1 to 128 letters, digits and ._:- are allowed, the first a letter or digit"
RULES = {
    ID_PATTERN: NAME_RULE,
    _TEXT: "it holds a NUL",
    _SOME_TEXT: "it is empty or holds a NUL",
    _VARIABLE: "the name of a variable is not empty and holds neither = nor NUL",
    _FORMAT: "auto, console or json expected",
    _WHEN_LAPSED: "run or stop expected",
    _TELL_JOBS: "auto, always or never expected",
    _LEVEL: "debug, info, warning or error expected",
}
"""What the patterns of texts allow, in words."""


class Main(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[main]`: who the node is and how much it runs.

    Attributes:
        id: of the node.
        url: of its Redis.
        namespace: of its keys.
        groups: that it belongs to.
        max_jobs: running at once.
        when_lapsed: what becomes of running jobs when the node's lease could not be renewed in
            time, or others have settled them meanwhile: they `run` on, or the agent will `stop`
            them.
        include: more files.
    """

    id: Identifier = field(default_factory=socket.gethostname)
    url: str = DEFAULT_URL
    namespace: Identifier = DEFAULT_NAMESPACE
    groups: list[Identifier] = field(default_factory=list)
    max_jobs: Positive = 200
    when_lapsed: Annotated[str, Meta(pattern=_WHEN_LAPSED)] = "run"
    include: list[str] = field(default_factory=list)


class LimitsTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[limits]`: bounds, in bytes and seconds.

    Attributes:
        payload: largest command that is read.
        kept_output: last part of each of stdout and stderr that a result holds.
        log: size up to which a job's log is kept.
        held_output: output that waits at most while Redis is away.
        flowing_output: output that waits before jobs are held up.
        waiting: commands that wait for their queue at most.
        rejected: entries of the rejected list.
        grace: between TERM and KILL, unless a command says otherwise.
        linger: how long others that hold an ended program's output are heard.
        drain: how long running jobs may go on after the agent was told to stop.
        deliver: how long results may take to be delivered after that.
        retention: how long results live.
        lease: how long a node that is silent is taken to be there.
        heartbeat: between two renewals of the lease.
        reap: how long another node must stay silent after its lease until its jobs are settled
            from here; 0 for never, None for as long as the lease.
        backlog: last output of a job, in characters, kept for those who subscribe to it late.
        backlog_messages: the same, in messages.
        restart_first: from the first failed run of a job to its second run.
        restart_factor: by which each further wait is longer than the one before.
        restart_cap: longest wait between two runs.
        restart_healthy: a run that lasted this long begins the count of failures anew.
        open_files: descriptors that `filesystem.open` may have given out at once.
        series: statistics that are kept, by key and tags.
    """

    payload: Size = DEFAULT_LIMIT
    kept_output: Size = 128 * 1024
    log: Size = 4 * 1024 * 1024
    held_output: Size = 16 * 1024 * 1024
    flowing_output: Size = 4 * 1024 * 1024
    waiting: Positive = 1000
    rejected: Positive = 1000
    grace: Duration = 5.0
    linger: Duration = 2.0
    drain: Duration = 10.0
    deliver: Duration = 30.0
    retention: Interval = 300.0
    lease: Interval = 15.0
    heartbeat: Interval = 5.0
    reap: Duration | None = None
    backlog: Size = 64 * 1024
    backlog_messages: Positive = 100
    restart_first: Interval = 1.0
    restart_factor: Factor = 2.0
    restart_cap: Interval = 30.0
    restart_healthy: Interval = 60.0
    open_files: Positive = 256
    series: Positive = 10_000


class Logging(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[logging]`.

    Attributes:
        levels: levels of job messages that go to the node's log channel.
        format: of the agent's own log: `auto` is `console` on a terminal, else `json`.
        level: of the agent's own log.
        file: where that goes, in place of standard error; opened anew by `logger.reopen`.
    """

    levels: list[Annotated[int, Meta(ge=0, le=255)]] = field(
        default_factory=lambda: sorted(DEFAULT_LOG_LEVELS)
    )
    format: Annotated[str, Meta(pattern=_FORMAT)] = "auto"
    level: Annotated[str, Meta(pattern=_LEVEL)] = "info"
    file: SomeText | None = None


class EventsTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[events]`: what the channel of events hears besides the node's own life.

    Attributes:
        jobs: when it hears of jobs (accepted, started, finished, rejected): `auto`, while anybody
            listens; `always`; `never`.
        arguments: whether it hears the arguments of commands too, which may hold secrets.
    """

    jobs: Annotated[str, Meta(pattern=_TELL_JOBS)] = "auto"
    arguments: bool = False


class Security(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[security]`.

    Attributes:
        unprivileged: whether jobs run without the capabilities that administer a machine.
    """

    unprivileged: bool = False


class Extension(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[extension.NAME]`: a command made of a program, see `builtins.extensions`.

    Attributes:
        binary: program, looked up in the PATH of its own environment.
        args: its arguments; a `{name}` in them is filled from the command's arguments.
        dir: working directory, None for the agent's.
        cwd: the same, as files of 0-core have it.
        env: added to the agent's environment.
        shell: whether binary and arguments are a script for `sh`.
    """

    binary: SomeText
    args: list[Text] = field(default_factory=list)
    dir: SomeText | None = None
    cwd: SomeText | None = None
    env: dict[Variable, Text] = field(default_factory=dict)
    shell: bool = False

    def __post_init__(self) -> None:
        """See that the directory is told once.

        Raises:
            ValueError: it is told twice.
        """
        if self.dir is not None and self.cwd is not None:
            raise ValueError("dir and cwd are the same: give one of them")

    @property
    def directory(self) -> str | None:
        """Working directory, None for the agent's."""
        return self.cwd if self.dir is None else self.dir


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a node."""

    main: Main = field(default_factory=Main)
    labels: dict[str, str] = field(default_factory=dict)
    limits: LimitsTable = field(default_factory=LimitsTable)
    logging: Logging = field(default_factory=Logging)
    events: EventsTable = field(default_factory=EventsTable)
    security: Security = field(default_factory=Security)
    extension: dict[str, Extension] = field(default_factory=dict)
