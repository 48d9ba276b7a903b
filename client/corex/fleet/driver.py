"""Driving a run: its turns are recorded, then its commands pushed; outcomes are recorded.

In this order nothing is lost and nothing is done twice: that a node is being started is in the
journal before its command is pushed, and only who holds the lease of the run writes there. Who goes
on with a run when its driver is gone finds in the journal all that may have been pushed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from corex.core import Core
from corex.effects import Plan, Run, Sleep
from corex.fleet.jobs import RunJobs
from corex.fleet.outcome import SKIPPED, Outcome
from corex.fleet.progress import Progress, ServerTime
from corex.fleet.record import Entry, Mark, mark_entry, outcome_entry, read_entries
from corex.fleet.store import LEASE, Driven, RunStore
from corex.submit import BACKOFFS
from corex_shared.errors import ConflictError, StoreError, StoreUnavailableError
from corex_shared.scripts import Step


class Synced(NamedTuple):
    """What came of a round trip.

    Attributes:
        answers: to the commands that went along.
        news: what the journal says that was not known.
        acquired: whether this one drives from now on.
        cancelled_by: who wishes the run to end; empty when nobody does.
    """

    answers: Sequence[Any]
    news: list[Entry]
    acquired: bool
    cancelled_by: str


class Driver:
    """What one who waits for a run does with it, while it has the lease, and knows of it.

    Attributes:
        jobs: of the run.
        time: the server's.
    """

    def __init__(self, core: Core, progress: Progress, time: ServerTime, holder: str) -> None:
        """Prepare.

        Args:
            core: the client's surroundings.
            progress: of the run, as far as it is known; kept up to date here.
            time: the server's.
            holder: a name that nobody else has who drives at the same time.
        """
        self.jobs = RunJobs(core, progress.record)
        self.time = time
        self._core = core
        self._progress = progress
        self._store = RunStore(core, progress.record, holder)
        self._unsaved: dict[int, Outcome] = {}
        self._intended: list[int] = []  # marked here, not in the journal yet
        self._unpushed: dict[int, bool] = {}  # marked there; whether it may have been pushed before
        self._renewed = float("-inf")
        self._missing_since: float | None = None

    @property
    def driving(self) -> bool:
        """Whether this one had the lease when it was renewed last."""
        return self._store.token > 0

    # -- the record ---------------------------------------------------------------------------

    def begin(self) -> Plan[None]:
        """Write the record of a new run, start what may start, and let anybody go on with it.

        Raises:
            StoreError: Redis cannot be reached or refused; says whether the run may have begun.
        """
        self._choose()
        for backoff in (*BACKOFFS, None):
            try:
                yield from self._store.begin(self._progress.entries())
                break
            except StoreUnavailableError:
                if backoff is None:
                    raise
                yield Sleep(backoff)
        self._saved()
        self._renewed = self._core.clock()
        try:
            yield from self.push()
        except StoreUnavailableError as error:
            run = self._progress.record.id
            why = f"{error}; run {run} is recorded, and may have begun on some nodes"
            raise StoreUnavailableError(why) from error
        with suppress(StoreUnavailableError):
            yield from self.give_back()

    def sync(self, along: Sequence[Step] = ()) -> Plan[Synced]:
        """Renew the lease, or take it if nobody has it; write what is unsaved; read what is new.

        Args:
            along: commands that go along in the same round trip.

        Raises:
            StoreError: Redis cannot be reached or refused.
        """
        was_driving, sent = self.driving, self._core.clock()
        calls: list[Step] = [self._store.drive_call(self._pending(), self.time.now())]
        if not was_driving:
            calls.append(self._store.journal_call())
        answers = yield Run([*calls, *along])
        driven = self._store.read_driven(answers[0])
        self.time.heard(driven.now)
        news: list[Entry] = []
        if driven.token < 0:
            acquired = yield from self._restore(sent)
        else:
            self._missing_since = None
            if not was_driving:
                news = self._read(answers[1])
            acquired = self._take_note(driven, sent)
        return Synced(answers[len(calls) :], news, acquired, driven.cancelled_by)

    def give_back(self) -> Plan[None]:
        """Write what is unsaved and let somebody else drive.

        Raises:
            StoreError: Redis cannot be reached or refused.
        """
        if not self.driving:
            return
        if (yield from self._release()).token < 0:
            yield from self._restore(self._core.clock())
            yield from self._release()
        self._store.token = 0

    def _release(self) -> Plan[Driven]:
        call = self._store.drive_call(self._pending(), self.time.now(), lease=0)
        (answer,) = yield Run([call])
        return self._store.read_driven(answer)

    def cancel(self, who: str) -> Plan[None]:
        """Tell whoever drives the run that it is to end."""
        yield Run([self._store.cancel_call(who, self.time.now())])

    def _pending(self) -> list[bytes]:
        marks = self._progress.marks
        entries = [mark_entry(index, marks[index]) for index in self._intended]
        return entries + [outcome_entry(index, one) for index, one in self._unsaved.items()]

    def _take_note(self, driven: Driven, sent: float) -> bool:
        """Take note of whether this one drives; tell whether it does from now on."""
        was_driving = self.driving
        if not driven.token:
            if was_driving:
                self._lost()
            return False
        self._store.token, self._renewed = driven.token, sent
        if was_driving:
            self._store.length = driven.length
            self._saved()
            return False
        self._progress.rebuild()
        return True

    def _read(self, payloads: Sequence[Any]) -> list[Entry]:
        self._store.length += len(payloads)
        entries = read_entries(self._progress.record, payloads)
        for entry in entries:
            if entry.outcome is not None:
                self._unsaved.pop(entry.index, None)
        return self._progress.take(entries)

    def _saved(self) -> None:
        self._unpushed.update(dict.fromkeys(self._intended, False))
        self._intended.clear()
        self._unsaved.clear()

    def _lost(self) -> None:
        """Somebody else drives: turns that are not in the journal were none."""
        self._store.token = 0
        for index in self._intended:
            del self._progress.marks[index]
        self._intended.clear()
        self._unpushed.clear()
        self._progress.rebuild()

    def _restore(self, now: float) -> Plan[bool]:
        """Write the record anew, which Redis has lost; tell whether this one drives from now on.

        One that did not drive may not know all turns: it gives the driver time to do so.
        """
        was_driving = self.driving
        if self._missing_since is None:
            self._missing_since = now
        if not was_driving and now - self._missing_since < LEASE:
            self._store.length = 0
            return False
        try:
            yield from self._store.begin(self._progress.entries())
        except ConflictError:  # somebody else just did
            self._lost()
            self._store.length = 0
            return False
        self._missing_since = None
        self._saved()
        self._renewed = now
        return not was_driving

    # -- turns --------------------------------------------------------------------------------

    def settle(self, index: int, outcome: Outcome) -> bool:
        """Take note of what became of a node; tell whether that is news."""
        if not self._progress.end(index, outcome):
            return False
        self._unsaved[index] = outcome
        self._unpushed.pop(index, None)
        return True

    def advance(self) -> Plan[None]:
        """Start what may start.

        Raises:
            StoreError: Redis cannot be reached or refused; to be called again.
        """
        if not self.driving:
            return
        self._choose()
        if self._intended:
            yield from self.sync()
        yield from self.push()

    def repeat(self, indexes: Sequence[int]) -> None:
        """Have commands pushed (again) of which it is not known whether they were."""
        self._unpushed.update(dict.fromkeys(indexes, True))

    def push(self) -> Plan[None]:
        """Push the commands of the nodes that have their turn.

        Only as long as the lease surely holds: who was stopped meanwhile (a machine that slept)
        must not start what somebody else has seen to since.
        """
        while self._unpushed and self.driving:
            if self._core.clock() - self._renewed > LEASE / 2:
                yield from self.sync()
                continue
            waiting, marks = list(self._unpushed), self._progress.marks
            chunk = next(self.jobs.chunks(waiting, marks[waiting[0]]))
            again = any(self._unpushed[index] for index in chunk)
            for index in chunk:
                self._unpushed[index] = True
            yield from self.jobs.push(chunk, marks, again=again)
            for index in chunk:
                del self._unpushed[index]
            self._progress.pushed.update(chunk)

    def _choose(self) -> None:
        mark = Mark(self._core.client_id, self.time.now())
        chosen = self._progress.schedule.start()
        for index in chosen:
            self._progress.marks[index] = mark
        self._intended += chosen
        for index in self._progress.schedule.skip():
            name = self._progress.record.nodes[index]
            why = f"not started: {self._progress.schedule.stopped}"
            self.settle(index, Outcome(name, SKIPPED, reason=why))


def ignore_store_errors(plan: Plan[None]) -> Plan[None]:
    """Run a plan whose failure does no harm."""
    with suppress(StoreError):
        yield from plan
