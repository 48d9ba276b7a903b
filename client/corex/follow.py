"""Following the output of jobs as it appears.

First subscribe, then read the log: what is published in between comes twice and is handed out
once. A gap in the numbers is filled from the log. Nothing depends on the subscription alone: the
logs of jobs that have been silent for a while are read, and their result keys looked at, so that
a subscription that died unnoticed, or a job that publishes nothing, is no endless wait. What is
in no log any more is told by a `corex.streams.Gap` in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Mapping, Sequence
from typing import Any

from corex.core import Core, Patience
from corex.effects import Emit, Listen, Plan, Run, Subscribe
from corex.queued import may_be_queued
from corex.streams import Gap, MessageOrder
from corex.submit import send
from corex.ticket import Ticket
from corex_shared.codec import decode_message, decode_result
from corex_shared.errors import DecodeError, StoreUnavailableError
from corex_shared.models import JobResult, Message
from corex_shared.scripts import Call

SILENCE = 2.0
"""Seconds after which a silent job is looked at."""
SHORTEST_PAUSE = 0.2
"""Seconds between two looks at silent jobs, at least."""
PAGE = 200
"""Messages read from a log at once."""
TOGETHER = 50
"""Logs read in one round trip."""
FORGOTTEN_LOOKS = 3
"""Looks after which a job counts as forgotten that was known and of which nothing is left."""


def follow(
    core: Core, jobs: Sequence[str], timeout: float, *, unknown_too: bool = True
) -> Plan[None]:
    """Emit the messages of jobs, each job's in order and from its first one.

    Ends when the last message of each was emitted, or it has a result and no more messages, or
    whatever was known of it has gone.

    Args:
        core: the client's surroundings.
        jobs: their IDs.
        timeout: seconds for all of it.
        unknown_too: whether to wait for jobs that nobody knows, which may come yet.

    Raises:
        WaitTimeout: the jobs did not end in time.
    """
    patience = Patience(core, _name(jobs), timeout)
    following = Following(core, jobs, unknown_too=unknown_too)
    yield from following.run(patience, subscribed=False)


def launch(core: Core, tickets: Sequence[Ticket], timeout: float) -> Plan[None]:
    """Push prepared commands and emit the messages of their jobs, missing none.

    Raises:
        StoreError: Redis cannot be reached or refused; says what may have been pushed.
        WaitTimeout: the jobs did not end in time.
    """
    jobs = [ticket.id for ticket in tickets]
    patience = Patience(core, _name(jobs), timeout)
    following = Following(core, jobs)
    yield Subscribe(following.channels())
    yield from send(core, tickets)
    yield from following.run(patience, subscribed=True)


def read_log(core: Core, job: str) -> Plan[None]:
    """Emit the messages that are in a job's log now, though more are written meanwhile."""
    order = MessageOrder(job)
    newest, result = yield Run(
        [
            ("XREVRANGE", core.keys.log(job), "+", "-", "COUNT", 1),
            ("LINDEX", core.keys.result(job), 0),
        ]
    )
    if newest:
        yield from _read_log(core, order, newest[0][0].decode())
    if result and not order.ended:
        yield from _end(order, decode_result(result))


def _name(jobs: Sequence[str]) -> str:
    return f"end of job {jobs[0]}" if len(jobs) == 1 else f"end of {len(jobs)} jobs"


class Following:
    """The jobs that have not ended.

    Tasks: pass live messages on in order; fill gaps; look at silent jobs; subscribe again after
    a loss of the connection.
    """

    def __init__(
        self,
        core: Core,
        jobs: Sequence[str],
        *,
        unknown_too: bool = True,
        coming: Iterable[str] = (),
    ) -> None:
        """Begin to follow jobs.

        Args:
            core: the client's surroundings.
            jobs: their IDs.
            unknown_too: whether to wait for jobs that nobody knows, which may come yet.
            coming: jobs that may be submitted yet: they are listened to, and looked at from their
                first message on, or when they are added.
        """
        self._core = core
        self._unknown_too = unknown_too
        self._known: set[str] = set()
        self._unseen: dict[str, int] = {}
        self._coming = dict.fromkeys(coming)
        self._open = {job: MessageOrder(job) for job in jobs}
        self._heard = dict.fromkeys(jobs, core.clock())
        self._next_check = core.clock() + SILENCE

    @property
    def open(self) -> KeysView[str]:
        """The jobs that have not ended, as far as their messages tell."""
        return self._open.keys()

    def channels(self) -> list[str]:
        """Channels of the jobs that have not ended."""
        return [self._core.keys.stream(job) for job in (*self._open, *self._coming)]

    def add(self, job: str) -> None:
        """Look at a job from now on that was coming."""
        if job in self._coming:
            del self._coming[job]
            self._open[job] = MessageOrder(job)
            self._heard[job] = self._core.clock()

    def drop(self, job: str) -> None:
        """Wait no more for a job that is not coming."""
        self._coming.pop(job, None)

    def catch_up(self, jobs: Sequence[str]) -> Plan[None]:
        """Emit what the logs of jobs have, many in one round trip."""
        for start in range(0, len(jobs), TOGETHER):
            orders = [self._open[job] for job in jobs[start : start + TOGETHER]]
            while orders:
                pages = yield Run([_page(self._core, order) for order in orders])
                more = []
                for order, entries in zip(orders, pages, strict=True):
                    yield from _take_entries(order, entries)
                    if len(entries) >= PAGE and not order.ended:
                        more.append(order)
                    self._drop_if_ended(order)
                orders = more

    def conclude(self, results: Mapping[str, JobResult | None]) -> Plan[None]:
        """Emit the rest of jobs of which nothing more comes.

        Args:
            results: of the jobs, where they are known.
        """
        jobs = [job for job in results if job in self._open]
        yield from self.catch_up(jobs)
        for job in jobs:
            if job in self._open:
                yield from _end(self._open[job], results[job])
                del self._open[job]

    def run(self, patience: Patience, *, subscribed: bool) -> Plan[None]:
        """Emit until all have ended."""
        while self._open:
            try:
                if not subscribed:
                    yield Subscribe(self.channels())
                    subscribed = True
                    for order in list(self._open.values()):
                        yield from _read_log(self._core, order)
                        self._drop_if_ended(order)
                    patience.succeeded()
                    continue
                if not patience.left:
                    raise patience.timeout()
                subscribed = yield from self.hear(patience.left)
            except StoreUnavailableError as error:
                subscribed = False
                yield patience.failed(error)

    def hear(self, left: float) -> Plan[bool]:
        """Listen once, and look at silent jobs when it is time.

        Args:
            left: seconds that it may take.

        Returns:
            Whether the subscription can be trusted.
        """
        clock = self._core.clock
        pause = min(left, max(0.0, self._next_check - clock()))
        for payload in (yield Listen(pause)):
            yield from self._take(payload)
        now = clock()
        if now < self._next_check:
            return True
        silent = [job for job in self._open if now - self._heard[job] >= SILENCE]
        self._heard.update(dict.fromkeys(silent, now))
        missed = yield from self._look_at(silent)
        soonest = min((self._heard[job] for job in self._open), default=now) + SILENCE
        self._next_check = max(soonest, now + SHORTEST_PAUSE)
        return not missed

    def _take(self, payload: bytes) -> Plan[None]:
        try:
            message = decode_message(payload)
        except DecodeError:
            return  # whoever may publish can publish junk
        self.add(message.job)
        order = self._open.get(message.job)
        if order is None:
            return
        self._heard[message.job] = self._core.clock()
        order.add(message)
        if order.gap is not None:
            yield from _read_log(self._core, order)
        yield from _emit(order)
        self._drop_if_ended(order)

    def _look_at(self, jobs: Sequence[str]) -> Plan[bool]:
        """Look at the logs and result keys of jobs.

        Returns:
            Whether a log had messages that the subscription did not bring.
        """
        if not jobs:
            return False
        keys = self._core.keys
        calls: list[Call] = []
        for job in jobs:
            calls.append(_page(self._core, self._open[job]))
            calls.append(("LLEN", keys.result(job)))
            calls.append(("EXISTS", keys.state(job), keys.log(job)))
        replies: list[Any] = yield Run(calls)
        missed = False
        looks = zip(jobs, replies[::3], replies[1::3], replies[2::3], strict=True)
        for job, entries, done, there in looks:
            order = self._open[job]
            before = order.expected
            yield from _take_entries(order, entries)
            missed = missed or order.expected > before
            if order.ended:
                pass
            elif done:
                yield from self._conclude(order)
            else:
                yield from self._note(order, there=bool(there))
            self._drop_if_ended(order)
        return missed

    def _conclude(self, order: MessageOrder) -> Plan[None]:
        """Read the rest of a job that has a result: after this nothing more comes."""
        yield from _read_log(self._core, order)
        if not order.ended:
            (payload,) = yield Run([("LINDEX", self._core.keys.result(order.job), 0)])
            yield from _end(order, decode_result(payload) if payload else None)

    def _note(self, order: MessageOrder, *, there: bool) -> Plan[None]:
        """Take note of whether anything of a job without result is there."""
        if there or order.expected:
            self._known.add(order.job)
        if there:
            self._unseen.pop(order.job, None)
        else:
            yield from self._seek(order)

    def _seek(self, order: MessageOrder) -> Plan[None]:
        """Decide about a job of which there is nothing: neither state nor log nor result."""
        job = order.job
        looks = self._unseen[job] = self._unseen.get(job, 0) + 1
        if job in self._known:
            if looks >= FORGOTTEN_LOOKS:
                why = f"nothing is known of job {job} any more, neither state nor result nor log"
                yield Emit(order.end_without_last(why))
            return
        # A claimed command has no state for a moment: one look proves nothing. Searching the
        # lists costs more than a look, so it is done less and less often.
        if self._unknown_too or looks < 2 or looks & (looks - 1):
            return
        if not (yield from may_be_queued(self._core, job)):
            order.ended = True

    def _drop_if_ended(self, order: MessageOrder) -> None:
        if order.ended:
            self._open.pop(order.job, None)


def _page(core: Core, order: MessageOrder, newest: str = "+") -> Call:
    start = f"{order.expected + 1}-0"
    return ("XRANGE", core.keys.log(order.job), start, newest, "COUNT", PAGE)


def _read_log(core: Core, order: MessageOrder, newest: str = "+") -> Plan[None]:
    """Emit what the log has from the expected message on, up to an entry."""
    while not order.ended:
        (entries,) = yield Run([_page(core, order, newest)])
        yield from _take_entries(order, entries)
        if len(entries) < PAGE:
            break


def _take_entries(order: MessageOrder, entries: Sequence[Any]) -> Plan[None]:
    for _, fields in entries:
        message = _decode_entry(fields)
        if message is not None:
            order.add(message)
    # What the log does not have before these is lost: it is written before it is published.
    # Behind a whole page there may be more, before what is held back.
    order.give_up_gap()
    yield from _emit(order)
    while len(entries) < PAGE and order.gap is not None:
        order.give_up_gap()
        yield from _emit(order)


def _end(order: MessageOrder, result: JobResult | None) -> Plan[None]:
    """End a job whose log, read to its end, lacks the last message; say what is missing of it.

    Args:
        order: of the job.
        result: of it, if that is not gone yet.
    """
    job = order.job
    if order.expected:
        yield Emit(order.end_without_last(f"the end of the log of job {job} is missing"))
        return
    gap = output_without_log(order, result)
    if gap is not None:
        yield Emit(gap)


def output_without_log(order: MessageOrder, result: JobResult | None) -> Gap | None:
    """End a job of which there are no messages; None if it wrote nothing that could be missing.

    Args:
        order: of the job.
        result: of it, if that is not gone yet.
    """
    order.ended = True
    size = result.stdout_bytes + result.stderr_bytes if result else 0
    if result is None or not size:
        return None
    why = (
        f"job {order.job} has no log: it was not submitted with live output, or the log has gone; "
        f"it wrote {size} bytes, the last of which are in its result"
    )
    return order.end_without_last(why, node=result.node, size=size)


def _decode_entry(fields: Any) -> Message | None:
    payload = fields.get(b"m")
    try:
        return decode_message(payload) if payload is not None else None
    except DecodeError:
        return None


def _emit(order: MessageOrder) -> Plan[None]:
    for message in order.ready():
        yield Emit(message)
