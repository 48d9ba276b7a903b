"""What the channel of events hears of the node and its jobs: made here, kept until it is told.

* Takes note of what happens, at once and without waiting.
* Keeps what waits for Redis, so much at most; the oldest events of jobs make room, and are counted.
* Numbers events as they go, so that whoever listens sees that some are missing.
* Makes no events of jobs while nobody listens: then all that a busy node does is look at the clock.

The outbox takes them along with what it writes anyway.
"""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from corex_node.config_tables import EventsTable
from corex_node.inbound import Inbound
from corex_node.manager.jobs import Job
from corex_node.manager.registry import Entry
from corex_node.ticket import Ticket
from corex_shared.connection import safe_url
from corex_shared.models import Command, JobResult
from corex_shared.states import JobState

_WAITING = 10_000
"""Events that wait at most."""
_SHOWN = 256
"""Characters of a name, a reason or arguments that an event has."""
_TAGS, _TAGS_SHOWN = 16, 64
"""Tags that an event has at most, and characters of each."""
_FED = frozenset({"stdin", "env", "block"})
"""Arguments that are never told: what a command is fed, and its environment."""

_LOOK_AGAIN = 0.1
"""Seconds after which one event is told to see whether anybody listens now."""

_encode = msgspec.json.Encoder(enc_hook=str).encode
_log = structlog.get_logger()


class Happening(Struct):
    """What every event says.

    Attributes:
        event: its kind.
        node: of which it tells.
        time: when it happened, epoch ms.
        seq: its number among those that this agent has told, from 1.
    """

    event: str
    node: str
    time: int
    seq: int


class _OfJob(Happening, omit_defaults=True):
    """`job.accepted`, `job.started`."""

    job: str
    command: str
    what: str = ""
    queue: str | None = None
    queue_scope: str | None = None
    group: str = ""
    tags: list[str] | None = None
    reply_to: str | None = None


class Finished(Happening, omit_defaults=True):
    """`job.finished`."""

    job: str
    command: str
    state: JobState
    code: int
    signal: int = 0
    duration: int = 0
    queued: int = 0
    attempts: int = 0
    tags: list[str] | None = None
    reply_to: str | None = None
    killed_by: str = ""


class _Rejected(Happening, omit_defaults=True):
    """`job.rejected`."""

    reason: str
    code: int
    job: str | None = None
    command: str = ""
    reply_to: str | None = None


class _Other(Happening):
    """Of any other kind."""

    fields: dict[str, Any]


class Events:
    """The events of one agent.

    Attributes:
        of_jobs: whether jobs are told of.
        on_first: called when something waits after nothing did.
    """

    def __init__(self, node: str, settings: EventsTable) -> None:
        """Begin with none."""
        self._node = node
        self._arguments = settings.arguments
        self._always = settings.jobs == "always"
        self._heard = True  # until the first that are told have shown whether
        self._look_at = 0.0  # monotonic
        self._waiting: deque[Happening] = deque()
        self._seq = 0
        self._dropped = 0
        self.of_jobs = settings.jobs != "never"
        self.on_first: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        return len(self._waiting)

    # -- what happens -------------------------------------------------------------------------

    def node(self, kind: str, **fields: object) -> None:
        """Something happened to the node itself."""
        self.add(_Other(kind, self._node, now_ms(), 0, fields))

    def run(self, kind: str, job: Job, fields: Mapping[str, object]) -> None:
        """One run of a job that has several has ended."""
        told = {"job": job.id, "command": job.command.command}
        self.add(_Other(kind, self._node, now_ms(), 0, {**fields, **told}))

    def accepted(self, job: Job) -> None:
        """A job was accepted that has to wait."""
        if self._is_wanted():
            self.add(self._of_job("job.accepted", job))

    def started(self, job: Job) -> None:
        """The first attempt of a job begins."""
        if self._is_wanted():
            self.add(self._of_job("job.started", job))

    def rejected(self, inbound: Inbound, reason: str, code: int) -> None:
        """A payload was not taken."""
        if not self._is_wanted():
            return
        name = inbound.command.command if inbound.command is not None else ""
        why, reply_to = reason[:_SHOWN], inbound.ticket.reply_to
        start = ("job.rejected", self._node, now_ms(), 0)
        self.add(_Rejected(*start, why, code, inbound.job_id, name, reply_to))

    def end_of(self, ticket: Ticket, result: JobResult, killed_by: str) -> Finished | None:
        """Make the event of a result, to be added once it is written; None for none."""
        if not self._is_wanted():
            return None
        return Finished(
            "job.finished",
            self._node,
            now_ms(),
            0,
            result.id,
            result.command,
            result.state,
            result.code,
            result.signal,
            result.time,
            result.queued,
            result.attempts,
            _shown_tags(result.tags) if result.tags else None,
            ticket.reply_to,
            killed_by if result.state is JobState.KILLED else "",
        )

    def _of_job(self, kind: str, job: Job) -> _OfJob:
        command, ticket = job.command, job.origin
        return _OfJob(
            kind,
            self._node,
            now_ms(),
            0,
            job.id,
            command.command,
            self._what(command, job.entry) if command.arguments else "",
            command.queue,
            command.queue_scope,
            ticket.group if isinstance(ticket, Ticket) else "",
            _shown_tags(command.tags) if command.tags else None,
            command.reply_to,
        )

    def _what(self, command: Command, entry: Entry) -> str:
        """Say in short what a command does: of a program its name, and no more if not asked to."""
        arguments = command.arguments or {}
        if self._arguments and not entry.private:
            return _in_short(command.command, arguments)
        name = arguments.get("name") if command.command == "core.system" else None
        return name[:_SHOWN] if isinstance(name, str) else ""

    def _is_wanted(self) -> bool:
        """Whether anybody listens to what happens to jobs, or it is time to see whether."""
        if self._heard:
            return self.of_jobs
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_AGAIN
        return self.of_jobs

    def told(self, heard: bool) -> None:
        """Take note of whether anybody heard the last events."""
        self._heard = heard or self._always

    # -- on their way -------------------------------------------------------------------------

    def add(self, happening: Happening) -> None:
        """Keep an event until it is told."""
        waiting = self._waiting
        waiting.append(happening)
        if len(waiting) == 1:
            self.on_first()
        elif len(waiting) > _WAITING:
            self._drop()

    def _drop(self) -> None:
        """Drop the oldest event that is none of the node's own life; the very oldest if all are."""
        waiting = self._waiting
        jobs = (at for at, kept in enumerate(waiting) if not kept.event.startswith("node."))
        del waiting[next(jobs, 0)]
        if not self._dropped:
            _log.warning("events.dropping", node=self._node)
        self._dropped += 1

    def take(self) -> list[bytes]:
        """Hand out all that wait, encoded and numbered; numbers of dropped ones are left out."""
        if self._dropped:
            _log.warning("events.dropped", count=self._dropped, node=self._node)
            self._seq, self._dropped = self._seq + self._dropped, 0
        taken, self._waiting = self._waiting, deque()
        return [encoded for happening in taken if (encoded := self._number(happening))]

    def _number(self, happening: Happening) -> bytes:
        """Encode an event; b"" for one that cannot be: nothing of ours may hold up the outbox."""
        happening.seq = self._seq = self._seq + 1
        try:
            if isinstance(happening, _Other):
                head = msgspec.structs.asdict(happening)
                return _encode({**head.pop("fields"), **head})
            return _encode(happening)
        except (TypeError, ValueError):  # text of the system that is no UTF-8, in a reason
            _log.exception("events.not_encoded", kind=happening.event)
            return b""


def now_ms() -> int:
    """This machine's time."""
    return time.time_ns() // 1_000_000


def _shown_tags(tags: list[str]) -> list[str]:
    return [tag[:_TAGS_SHOWN] for tag in tags[:_TAGS]]


def _in_short(name: str, arguments: Mapping[str, Any]) -> str:
    """Show what a command runs, with its arguments but not what it is fed."""
    if name == "core.system" and isinstance(arguments.get("name"), str):
        args = arguments.get("args")
        words = [arguments["name"], *(args if isinstance(args, list) else ())]
        text = " ".join(shlex.quote(safe_url(str(word)[:_SHOWN])) for word in words[:_SHOWN])
    elif name == "bash":
        text = str(arguments.get("script", ""))[:_SHOWN]
    else:
        told = {key: value for key, value in arguments.items() if key not in _FED}
        try:
            text = _encode(told).decode()
        except (TypeError, ValueError, RecursionError):  # MessagePack has maps that JSON has not
            text = ""
    return text[:_SHOWN]
