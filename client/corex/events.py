"""Following the events of nodes and jobs: who ran what, where, when, and how it ended.

There is no log of events. What is published while a connection is lost is not heard: an `EventGap`
says when that began, and another one when it ended; and one for each node, with how many, as soon
as the numbers of its events tell that some are missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct, field

from corex.core import Core, Patience
from corex.effects import Emit, Listen, Plan, Subscribe
from corex_shared.errors import DecodeError, StoreUnavailableError
from corex_shared.identifiers import check_id
from corex_shared.models import Count

LISTEN = 1.0
"""Seconds of one wait for events."""
NODES = 10_000
"""Nodes whose last number is remembered, those heard of last."""
KINDS = (
    *("node.started", "node.stopped", "node.lapsed", "node.returned"),
    *("job.accepted", "job.started", "job.finished", "job.rejected"),
    *("recurring", "restart", "reaped"),
)
"""Events that nodes of this version tell."""


class Event(Struct, frozen=True, omit_defaults=True):
    """Something that happened to a node or a job; docs/protocol.md says which events have what.

    What an event does not tell is empty or None.

    Attributes:
        event: its kind, such as `job.finished`.
        node: of which it tells.
        time: epoch ms, by the clock of whoever tells it.
        seq: its number among those of one agent, from 1; None if it has none.
        job: ID of the job.
        command: of the job.
        what: what that runs in short: of `core.system` the program's name.
        queue: of the job.
        tags: of the command.
        reply_to: client that sent the command, as it calls itself.
        state: of the end of the job or of one run.
        code: likewise.
        duration: ms of the last attempt, or of the run.
        attempts: how often the job ran.
        killed_by: client that asked for the end.
        by: node whose agent tells of another's.
        why: reason of a stop or of a gap.
        reason: why a payload was rejected.
        fields: everything else, by its name.
    """

    event: str
    node: str
    time: Count
    seq: Count | None = None
    job: str = ""
    command: str = ""
    what: str = ""
    queue: str = ""
    tags: list[str] = field(default_factory=list)
    reply_to: str = ""
    state: str = ""
    code: Count | None = None
    duration: Count | None = None
    attempts: Count | None = None
    killed_by: str = ""
    by: str = ""
    why: str = ""
    reason: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    def as_map(self) -> dict[str, Any]:
        """All that it tells, as JSON can hold it: an event as it was published."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return {**told.pop("fields", {}), **told}


class EventGap(Event, frozen=True):
    """Stands in the place of events that were not heard; `why` says so to people.

    Its `event` is `gap`, its `node` the one whose events are missing, empty if that is not known.

    Attributes:
        count: how many are missing at least; None when that cannot be known.
    """

    count: int | None = None


_KNOWN = frozenset(Event.__struct_fields__) - {"fields"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def decode_event(payload: bytes) -> Event:
    """Read an event.

    Raises:
        DecodeError: it is none.
    """
    try:
        told = _decode(payload)
        known = {
            name: value for name, value in told.items() if name in _KNOWN and value is not None
        }
        rest = {name: value for name, value in told.items() if name not in _KNOWN}
        return msgspec.convert({**known, "fields": rest}, Event)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise DecodeError("event", str(error)) from error


def follow_events(
    core: Core,
    globs: Sequence[str],
    timeout: float,
    kinds: Collection[str] = (),
    job: str | None = None,
) -> Plan[None]:
    """Emit what nodes tell, as they tell it.

    Args:
        core: the client's surroundings.
        globs: over node IDs: `*`, `?` and `[…]`.
        timeout: seconds.
        kinds: of the events that are wanted, each a whole one or its first part (`job`); all if
            empty. Gaps come in any case.
        job: whose events are wanted; all if None.

    Raises:
        InvalidIdError: no job can have that ID.
        WaitTimeout: the time is up; there is no other end.
        StoreRefusedError: this user may not subscribe.
    """
    if job is not None:
        check_id("job", job)
    patience = Patience(core, "events", timeout)
    following = _Following(globs, kinds, job)
    subscribed = False
    while True:
        try:
            if not subscribed:
                yield Subscribe([core.keys.events()])
                subscribed = True
                patience.succeeded()
                yield from following.connected(core.now_ms())
                continue
            if not patience.left:
                raise patience.timeout()
            for payload in (yield Listen(min(LISTEN, patience.left))):
                yield from following.take(payload)
        except StoreUnavailableError as error:
            subscribed = False
            yield from following.away(error, core.now_ms())
            yield patience.failed(error)


class _Following:
    """What was heard so far."""

    def __init__(self, globs: Sequence[str], kinds: Collection[str], job: str | None) -> None:
        self._globs = globs
        self._kinds = tuple(kinds)
        self._job = job
        self._last: dict[str, int] = {}  # those heard of last at the end
        self._is_away = False

    def away(self, error: StoreUnavailableError, now_ms: int) -> Plan[None]:
        """Take note that nothing is heard, until there is a connection."""
        if not self._is_away:
            self._is_away = True
            yield Emit(EventGap("gap", "", now_ms, why=f"nothing is heard: {error}"))

    def connected(self, now_ms: int) -> Plan[None]:
        """Take note of a new connection; what was published since the last one is lost."""
        if self._is_away:
            self._is_away = False
            why = "connected again; what happened meanwhile was not heard"
            yield Emit(EventGap("gap", "", now_ms, why=why))

    def take(self, payload: bytes) -> Plan[None]:
        """Take an event."""
        try:
            event = decode_event(payload)
        except DecodeError:
            return  # whoever may publish can publish junk
        if not any(fnmatchcase(event.node, glob) for glob in self._globs):
            return
        missing = self._missing_before(event)
        if missing > 0:
            are = "1 event was" if missing == 1 else f"{missing} events were"
            why = f"{are} not heard of node {event.node}"
            yield Emit(EventGap("gap", event.node, event.time, why=why, count=missing))
        if self._is_wanted(event):
            yield Emit(event)

    def _missing_before(self, event: Event) -> int:
        """How many events of a node's agent should have come between its last one and this."""
        if event.seq is None:
            return 0
        last = self._last.pop(event.node, None)
        self._last[event.node] = event.seq
        while len(self._last) > NODES:
            del self._last[next(iter(self._last))]
        if last is None or event.event == "node.started":
            return 0
        return event.seq - last - 1

    def _is_wanted(self, event: Event) -> bool:
        if self._job is not None and event.job != self._job:
            return False
        kind = event.event
        return not self._kinds or any(
            kind == wanted or kind.startswith(f"{wanted}.") for wanted in self._kinds
        )
