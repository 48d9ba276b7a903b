"""Waiting for many jobs at once."""

from __future__ import annotations

from collections.abc import Sequence

from corex.core import SLICE, Core, Patience
from corex.effects import Emit, Plan, ReadInbox
from corex.mailbox import Mail, Waiter
from corex.results import listen, peek_many
from corex.ticket import Ticket
from corex_shared.errors import StoreUnavailableError
from corex_shared.models import JobResult

_CHUNK = 500
"""Results read in one round trip."""


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
    patience = Patience(core, "results", timeout)
    waiter = core.mailbox.open(gathering.mail_keys())
    core.lookout.watch(tickets, core.clock())
    try:
        yield from gathering.run(waiter, patience, fresh=fresh)
    finally:
        gathering.unwatch()
        core.mailbox.close(waiter)


class _Gathering:
    """The jobs that are still outstanding.

    Tasks: hand out what the mailbox brings; look at the keys of all in the beginning and after a
    loss of the connection. Between these the lookout looks.
    """

    def __init__(self, core: Core, tickets: Sequence[Ticket]) -> None:
        self._core = core
        self._total = len(tickets)
        self._open = dict(enumerate(tickets))
        self._by_key: dict[str, list[int]] = {}
        for index, ticket in enumerate(tickets):
            for key in ticket.keys_of_mail:
                self._by_key.setdefault(key, []).append(index)

    def mail_keys(self) -> list[str]:
        """All that the mailbox may bring."""
        return list(self._by_key)

    def unwatch(self) -> None:
        """Look no more for what is outstanding."""
        self._core.lookout.unwatch(self._open.values())

    def run(self, waiter: Waiter, patience: Patience, *, fresh: bool) -> Plan[None]:
        """Emit until nothing is outstanding."""
        look = [index for index, ticket in self._open.items() if not (fresh and ticket.mail)]
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
                heard = yield from self._listen(waiter, min(SLICE, patience.left))
                patience.succeeded()
                look = [] if heard and patience.left else list(self._open)
            except StoreUnavailableError as error:
                yield patience.failed(error)
                look = list(self._open)

    def _listen(self, waiter: Waiter, seconds: float) -> Plan[bool]:
        if any(ticket.mail for ticket in self._open.values()):
            yield ReadInbox(waiter, seconds)
            return True
        return (yield from listen(waiter, seconds))

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
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            jobs = [self._open[index].id for index in chunk]
            results = yield from peek_many(self._core, jobs)
            for index, result in zip(chunk, results, strict=True):
                if result is not None:
                    yield from self._emit(index, result)

    def _emit(self, index: int, result: JobResult) -> Plan[None]:
        ticket = self._open.pop(index, None)
        if ticket is not None:
            self._core.lookout.unwatch([ticket])
            yield Emit((index, result))
