"""One job: what was asked, where it stands, what it wrote so far.

A job decides nothing; the `ProcessManager` does. Fields are written by the manager only, but for
those of the output, which the running attempt feeds.
"""

from __future__ import annotations

import asyncio
import sys

from msgspec import Struct

from corex_node.manager.abilities import Process, pid_of
from corex_node.manager.flags import NO_FLAGS, JobFlags
from corex_node.manager.hooks import Hook
from corex_node.manager.messages import MessageLog, Subscription
from corex_node.manager.observers import Courier
from corex_node.manager.outcome import Outcome
from corex_node.manager.registry import Entry
from corex_node.manager.restarts import RestartPolicy
from corex_node.process.inband import InBand
from corex_node.process.tail import Tail
from corex_shared.models import Command, JobResult
from corex_shared.states import Level, Stage

_NO_TIMERS = (None, None, None)


class Demand(Struct, frozen=True):
    """Which messages of a job anyone is to see as they come.

    Attributes:
        stream: all of them, on the job's own channel and log.
        levels: those of these levels, on the node's log channel.
    """

    stream: bool
    levels: frozenset[int]

    def wants(self, level: int) -> bool:
        """Whether a message of the level goes anywhere."""
        return self.stream or level in self.levels


class Output:
    """What the attempts of one job write to one stream.

    Attributes:
        level: of its plain output.
        written: bytes, of everything.
        tail: the last part of the output as such, without what is addressed to other levels.
        reader: of the running attempt's stream.
        answering: whether more of a message of a result level is to come.
    """

    __slots__ = ("answering", "level", "reader", "tail", "written")

    def __init__(self, level: Level, kept: int | None) -> None:
        """Keep the last `kept` bytes, or all."""
        self.level = level
        self.written = 0
        self.tail = Tail(sys.maxsize if kept is None else kept)
        self.reader: InBand | None = None
        self.answering = False


class Job:
    """One accepted command, from its claim to its result."""

    __slots__ = (
        "admitted",
        "attempt_began",
        "attempts",
        "claimed_ms",
        "command",
        "control",
        "critical",
        "data",
        "data_cut",
        "delay_timers",
        "demand",
        "earlier",
        "ended",
        "entry",
        "execution",
        "fencing_token",
        "flags",
        "fleet_queue",
        "has_slot",
        "hooks",
        "id",
        "killed_by",
        "last_ms",
        "last_outcome",
        "local",
        "messages",
        "origin",
        "partial_timer",
        "policy",
        "ready",
        "result",
        "run_timer",
        "signalled",
        "stage",
        "started_ms",
        "stderr",
        "stdout",
        "stopping",
        "subscriptions",
        "survivors",
        "verdict",
        "wait_timer",
    )

    def __init__(self, command: Command, entry: Entry, demand: Demand, origin: object) -> None:
        """Make a job that nothing has happened to yet.

        Args:
            command: what was asked.
            entry: the command in the registry.
            demand: which messages are wanted.
            origin: whatever the side that brought the command wants to find again.
        """
        self.command = command
        self.id = command.job_id
        self.entry = entry
        self.demand = demand
        self.origin = origin
        # The queue that it shares with jobs of all nodes, None for none or one of this node.
        self.fleet_queue = command.queue if command.queue_scope == "fleet" else None
        self.fencing_token = 0  # by which it holds that queue, 0 while it does not
        self.flags: JobFlags = NO_FLAGS
        self.local = False  # started by code: nobody outside hears of it
        self.stage = Stage.CLAIMED
        self.control = False  # came by the control list: needs no slot
        self.admitted = False  # Redis knows it: may be started
        self.ready = False  # holds its queue, waits for a slot only
        self.has_slot = False
        self.claimed_ms = 0  # epoch ms
        self.started_ms = 0  # epoch ms of the first start
        self.last_ms = 0  # how long the last attempt took
        self.attempts = 0  # of this agent
        self.earlier = 0  # attempts of others that had the job before
        self.attempt_began = 0.0  # monotonic
        self.execution: Process | None = None
        self.policy: RestartPolicy | None = None
        self.verdict: Outcome | None = None  # asked for from outside; wins over what it says
        self.last_outcome: Outcome | None = None  # of the last run, while another is to follow
        self.killed_by = ""  # client that asked for its end, if one did
        self.signalled = 0  # signals that callers sent to the attempt, a bit each
        self.stopping = False  # the attempt was told to end, and is seen to
        self.survivors = 0  # processes of the last attempt that would not die
        self.run_timer: asyncio.TimerHandle | None = None
        self.wait_timer: asyncio.TimerHandle | None = None
        self.partial_timer: asyncio.TimerHandle | None = None
        self.delay_timers: list[asyncio.TimerHandle] | None = None  # of hooks
        self.data = ("", 0)  # last message of a result level, and the level
        self.data_cut = False  # it was longer than a result holds
        self.critical = ""  # last message of level 9
        self.stdout: Output | None = None
        self.stderr: Output | None = None
        self.messages: MessageLog | None = None  # made on the first message: most jobs are silent
        self.subscriptions: list[Subscription] | None = None
        self.hooks: tuple[tuple[Hook, Courier], ...] = ()
        self.ended: asyncio.Future[JobResult] | None = None  # for those who wait in code
        self.result: JobResult | None = None

    @property
    def pid(self) -> int:
        """Process ID of the running attempt, 0 when there is none."""
        return pid_of(self.execution)

    @property
    def runs(self) -> int:
        """How often it has run, here and before."""
        return self.earlier + self.attempts

    def count_on(self, begun: int, failed: int) -> None:
        """Take over the count of runs from whoever had the job before."""
        self.earlier = begun
        if self.policy is not None:
            self.policy.failed_runs = failed

    def cancel_timers(self) -> None:
        """Cancel whatever is to happen to it by itself."""
        timers = (self.run_timer, self.wait_timer, self.partial_timer)
        if timers == _NO_TIMERS and self.delay_timers is None:  # as of most jobs, twice
            return
        for timer in timers:
            if timer is not None:
                timer.cancel()
        self.run_timer = self.wait_timer = self.partial_timer = None
        for timer in self.delay_timers or ():
            timer.cancel()
        self.delay_timers = None
