"""Waiting for many jobs at once."""

from __future__ import annotations

from collections.abc import Sequence

from corex.core import SLICE, Core, Patience
from corex.effects import Emit, Plan, ReadInbox, Sleep
from corex.mailbox import Mail, Waiter
from corex.results import FIRST_POLL, LAST_POLL, peek_many
from corex.ticket import Ticket
from corex_shared.errors import StoreUnavailableError
from corex_shared.models import JobResult

SWEEP = 2000
"""Keys looked at, at most, after each silence of the inbox; the next ones after the next."""
_SWEEP_CHUNK = 500


def as_completed(
    core: Core, tickets: Sequence[Ticket], timeout: float, *, fresh: bool = False
) -> Plan[None]:
    """Emit `(index, result)` for each ticket, in the order in which results come.

    Args:
        core: the client's surroundings.
        tickets: the jobs.
        timeout: seconds for all of them together.
        fresh: they were all just submitted, so that their keys need not be looked at first.

    Raises:
        WaitTimeout: says how many are outstanding.
    """
    gathering = _Gathering(core, tickets)
    waiter = core.mailbox.open(gathering.mail_keys())
    try:
        yield from gathering.run(waiter, Patience(core, "results", timeout), fresh=fresh)
    finally:
        core.mailbox.close(waiter)


class _Gathering:
    """The jobs that are still outstanding.

    Tasks: hand out what the inbox tells; look at keys in turn when it is silent; poll the keys
    of jobs whose results it will not tell.
    """

    def __init__(self, core: Core, tickets: Sequence[Ticket]) -> None:
        self._core = core
        self._total = len(tickets)
        self._open = dict(enumerate(tickets))
        self._by_key: dict[str, list[int]] = {}
        self._unheard: set[int] = set()
        for index, ticket in enumerate(tickets):
            for key in ticket.mail:
                self._by_key.setdefault(key, []).append(index)
            if not ticket.mail:
                self._unheard.add(index)
        self._poll = FIRST_POLL
        self._quiet_since = core.clock()

    def mail_keys(self) -> list[str]:
        """All that the inbox may tell."""
        return list(self._by_key)

    def run(self, waiter: Waiter, patience: Patience, *, fresh: bool) -> Plan[None]:
        """Emit until nothing is outstanding."""
        look = list(self._unheard) if fresh else list(self._open)
        while self._open:
            try:
                yield from self._hand_out(waiter.take())
                yield from self._look(look)
                if not self._open:
                    return
                if not patience.left:
                    count = f"{len(self._open)} of {self._total} results"
                    patience.rename(f"{count} outstanding")
                    raise patience.timeout()
                yield from self._pause(waiter, patience.left)
                patience.succeeded()
                look = [*self._unheard, *self._after_silence(waiter)]
            except StoreUnavailableError as error:
                yield patience.failed(error)
                look = list(self._open)

    def _pause(self, waiter: Waiter, left: float) -> Plan[None]:
        pause = min(SLICE, left)
        if self._unheard:
            pause = min(pause, self._poll)
            self._poll = min(self._poll * 2, LAST_POLL)
        if len(self._unheard) < len(self._open):
            yield ReadInbox(waiter, pause)
        else:
            yield Sleep(pause)

    def _hand_out(self, mails: list[Mail]) -> Plan[None]:
        hints = []
        for mail in mails:
            if mail.result is None:
                hints += [index for index in self._by_key[mail.key] if index in self._open]
            else:
                for index in self._by_key[mail.key]:
                    yield from self._emit(index, mail.result)
        yield from self._look(hints)

    def _look(self, indexes: Sequence[int]) -> Plan[None]:
        """Look at the keys of some jobs."""
        wanted = [
            index for index in indexes if index in self._open and self._open[index].key_counts
        ]
        for start in range(0, len(wanted), _SWEEP_CHUNK):
            chunk = wanted[start : start + _SWEEP_CHUNK]
            jobs = [self._open[index].id for index in chunk]
            results = yield from peek_many(self._core, jobs)
            for index, result in zip(chunk, results, strict=True):
                if result is not None:
                    yield from self._emit(index, result)

    def _emit(self, index: int, result: JobResult) -> Plan[None]:
        if self._open.pop(index, None) is not None:
            self._unheard.discard(index)
            self._poll = FIRST_POLL
            yield Emit((index, result))

    def _after_silence(self, waiter: Waiter) -> list[int]:
        """Choose jobs to look at when the inbox was silent for long: those not looked at longest.

        They are put behind the others.
        """
        now = self._core.clock()
        if waiter.ready:
            self._quiet_since = now
        if now - self._quiet_since < SLICE * 0.9:  # a wait may end a little early
            return []
        self._quiet_since = now
        chosen = list(self._open)[:SWEEP]
        for index in chosen:
            self._open[index] = self._open.pop(index)
        return chosen
