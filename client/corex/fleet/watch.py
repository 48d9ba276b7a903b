"""Waiting for a run: whoever does so drives it, or follows whoever drives it already.

There is no end of a wait but an outcome for each node: the time of the run bounds it, and what has
none by then gets one here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from corex.core import Core
from corex.effects import Emit, Plan, Run, Sleep
from corex.fleet.absences import Absences
from corex.fleet.census import Census
from corex.fleet.driver import Driver, Synced, ignore_store_errors
from corex.fleet.ears import Ear, InboxEar, SilentEar, StreamEar
from corex.fleet.ending import Ending, end_seconds, given_up
from corex.fleet.events import Note, Started
from corex.fleet.outcome import FINISHED, UNREACHABLE, Outcome, finished
from corex.fleet.progress import Progress, ServerTime
from corex.fleet.record import Entry
from corex.fleet.store import LEASE
from corex.targets import group_of
from corex_shared.errors import DecodeError, StoreRefusedError, StoreUnavailableError
from corex_shared.models import JobResult
from corex_shared.states import JobState

TICK = 1.0
"""Seconds between two looks at the record, at heartbeats, and at results of jobs that somebody else
pushed: all of it in one round trip."""
OWN_TICKS = 5
"""Looks after which also the results of jobs are looked at of which the inbox tells."""
TRACE_TICKS = 10
"""Looks after which it is seen whether all jobs are still known."""
REPEAT_WITHIN = 60_000
"""How long after its mark a command of which there is no trace is pushed, in ms, when its driver is
gone: it was not pushed then, since what has run leaves its traces for longer."""
FORGOTTEN_AFTER = 30.0
"""Seconds without a trace after which a job is given up, though its node is there."""
_FIRST_BACKOFF, _LAST_BACKOFF = 0.1, 1.0


def watch(
    core: Core,
    progress: Progress,
    time: ServerTime,
    holder: str,
    *,
    messages: bool = False,
    cancel: str = "",
) -> Plan[None]:
    """Emit what happens in a run (see `corex.fleet.events`), from its beginning to its end.

    When it ends every node has an outcome, and each was emitted once.

    Args:
        core: the client's surroundings.
        progress: of the run, as far as it is known; kept up to date.
        time: the server's.
        holder: a name that no other wait has which is under way.
        messages: whether the output of jobs is wanted.
        cancel: who wishes the run to end; empty when nobody does.

    Raises:
        StoreRefusedError: this user may not drive runs, or keys of it are somebody else's.
    """
    ear: Ear
    if messages and progress.record.command.stream:
        ear = StreamEar(core, progress.record)
    else:
        ear = (SilentEar if messages else InboxEar)(core, progress.record, progress.missing)
    try:
        driver = Driver(core, progress, time, holder)
        yield from _Watch(core, progress, driver, ear, cancel).run()
    finally:
        ear.close()


class _Watch:
    """One wait."""

    def __init__(
        self, core: Core, progress: Progress, driver: Driver, ear: Ear, cancel: str
    ) -> None:
        self._core = core
        self._progress = progress
        self._record = progress.record
        self._time = driver.time
        self._ear = ear
        self._driver = driver
        self._absences = Absences()
        self._ending: Ending | None = None
        self._cancel = cancel
        self._told: set[int] = set()
        self._begun: set[int] = set()
        self._cut: set[int] = set()
        self._untraced: dict[int, float] = {}  # since when there is no trace of a job
        self._suspects: set[int] = set()  # marked by others: were they pushed?
        self._ticks = 0
        self._next_tick = core.clock()
        self._backoff = _FIRST_BACKOFF
        self._is_away = False
        self._has_followed = False
        if cancel:
            self._last = core.clock() + LEASE + end_seconds(progress) + LEASE
        else:
            self._last = float("inf")

    def run(self) -> Plan[None]:
        """Wait until every node has an outcome."""
        yield from self._begin(self._with_marks(sorted(self._progress.marks)))
        while not self._all_told():
            try:
                yield from self._step()
            except StoreUnavailableError as error:
                yield from self._wait_for_redis(error)
        yield from ignore_store_errors(self._driver.give_back())

    def _all_told(self) -> bool:
        return len(self._told) == len(self._record.nodes)

    def _step(self) -> Plan[None]:
        clock = self._core.clock
        if clock() >= self._next_tick and not self._progress.done:
            yield from self._tick()
        # The next ones are started before whoever waits is told of the last: that may take long.
        yield from self._driver.advance()
        yield from self._tell()
        pushed = self._progress.pushed - self._begun
        yield from self._begin(self._with_marks(sorted(pushed)))
        self._recovered()
        if clock() >= min(self._last, self._end() + LEASE):
            self._give_up("the run's time was up")
        if self._progress.done:
            return  # to tell it
        pause = max(0.01, self._next_tick - clock())
        heard = yield from self._ear.wait(pause, driving=self._driver.driving)
        yield from self._take(heard)

    # -- looks --------------------------------------------------------------------------------

    def _tick(self) -> Plan[None]:
        """Look at everything there is to look at, in one round trip."""
        self._next_tick = self._core.clock() + TICK
        self._ticks += 1
        if self._cancel:
            yield from self._driver.cancel(self._cancel)
            self._cancel = ""
        was_driving = self._driver.driving
        heartbeats, results = self._census(was_driving)
        try:
            synced = yield from self._driver.sync([*heartbeats.calls(), *results.calls()])
        except StoreRefusedError as error:
            if self._core.lookout.singly or not (heartbeats.calls() or results.calls()):
                raise type(error)(f"run {self._record.id}: {error}") from error
            self._core.lookout.singly = True  # the keys are in different slots of a Cluster
            self._next_tick = self._core.clock()
            return
        yield from self._hear_news(synced)
        if not self._driver.driving:
            self._has_followed = True
            return
        if synced.acquired:
            yield from self._take_over()
        elif was_driving:
            count = len(heartbeats.calls())
            self._absences.saw(
                (yield from heartbeats.read(synced.answers[:count])), self._core.clock()
            )
            found = yield from results.read(synced.answers[count:])
            yield from self._take({index: None for index, there in found.items() if there})
        yield from self._see_to_absent_nodes()
        yield from self._see_to_traces()
        yield from self._see_to_end(synced.cancelled_by)

    def _census(self, driving: bool) -> tuple[Census, Census]:
        """Prepare a look at the heartbeats of nodes with jobs, and one at results."""
        core, keys, record = self._core, self._core.keys, self._record
        running = self._progress.running if driving else []
        all_results = not self._ticks % OWN_TICKS or self._ending is not None
        heartbeats = {
            index: keys.presence(record.nodes[index])
            for index in running
            if group_of(record.nodes[index]) is None
        }
        results = {
            index: keys.result(record.job(index))
            for index in running
            if all_results or index not in self._progress.pushed
        }
        return Census(core, heartbeats, self._ticks), Census(core, results, self._ticks)

    def _hear_news(self, synced: Synced) -> Plan[None]:
        """Take note of what another driver has done."""
        self._cut.update(entry.index for entry in synced.news if entry.cut)
        yield from self._begin(synced.news)

    def _take_over(self) -> Plan[None]:
        """Go on with a run; others may have pushed some commands, or died before they did."""
        others = [index for index in self._progress.running if index not in self._progress.pushed]
        self._suspects.update(others)
        yield from self._look_at(self._progress.running)
        if self._has_followed:
            yield Emit(Note("nobody drives the run any more: going on with it"))

    def _take(self, heard: Mapping[int, JobResult | None]) -> Plan[None]:
        """Take results that were heard of."""
        if not self._driver.driving:
            return
        running = set(self._progress.running)
        for index, result in heard.items():
            if result is not None and index in running:
                self._finish(index, result)
        yield from self._look_at(
            [index for index, result in heard.items() if result is None and index in running]
        )

    def _look_at(self, indexes: Iterable[int]) -> Plan[None]:
        """Read the results that there are."""
        for index, result in (yield from self._driver.jobs.results(list(indexes))).items():
            if isinstance(result, DecodeError):
                node, job = self._record.nodes[index], self._record.job(index)
                why = f"its result cannot be read: {result}"
                self._driver.settle(index, Outcome(node, FINISHED, None, job, reason=why))
            else:
                self._finish(index, result)

    def _finish(self, index: int, result: JobResult) -> None:
        was_killed = self._ending is not None and result.state is JobState.KILLED
        why = self._ending.why if self._ending is not None and was_killed else ""
        self._driver.settle(index, finished(self._record.nodes[index], result, why))

    # -- nodes that are away, jobs that are gone ------------------------------------------------

    def _see_to_absent_nodes(self) -> Plan[None]:
        now, progress = self._core.clock(), self._progress
        gone = [index for index in self._absences.gone(now) if index in progress.running]
        if gone:
            why = "its node went away before it took the command"
            taken = yield from self._driver.jobs.withdraw(gone, progress.marks, why)
            yield from self._lose(list(taken), "it went away before it took the command")
            for index in gone:
                if index not in taken:
                    self._absences.had_its_job(index, now)
                    name = self._record.nodes[index]
                    yield Emit(Note(f"{name} is away, and had its job; waiting for news of it"))
        overdue = [index for index in self._absences.overdue(now) if index in progress.running]
        if overdue:
            yield from self._look_at(overdue)
            yield from self._lose(
                [index for index in overdue if index in progress.running],
                "it went away while it had its job, which may still run there",
            )

    def _lose(self, indexes: list[int], why: str) -> Plan[None]:
        """Settle nodes that are gone."""
        if not indexes:
            return
        nodes = [self._record.nodes[index] for index in indexes]
        scores = yield Run([("ZSCORE", self._core.keys.nodes(), node) for node in nodes])
        for index, node, score in zip(indexes, nodes, scores, strict=True):
            seen = int(float(score)) if score else None
            job = self._record.job(index)
            self._driver.settle(index, Outcome(node, UNREACHABLE, None, job, seen, why))

    def _see_to_traces(self) -> Plan[None]:
        """See whether all jobs are known; push what was not, give up what is forgotten."""
        if not self._suspects and self._ticks % TRACE_TICKS:
            return
        progress = self._progress
        running = [index for index in progress.running if not self._absences.is_missing(index)]
        watched = [index for index in running if index in self._suspects] or running
        lost = yield from self._driver.jobs.untraced(watched, progress.marks)
        clock, now = self._core.clock(), self._time.now()
        before = self._untraced
        self._untraced = {index: before.get(index, clock) for index in lost}
        # What is being claimed has no trace for a moment: one look proves nothing.
        again = [
            index
            for index in sorted(self._suspects)
            if index in before and index in lost and now - progress.marks[index].at < REPEAT_WITHIN
        ]
        self._suspects.intersection_update(lost)
        self._suspects.difference_update(again)
        self._driver.repeat(again)
        for index, since in self._untraced.items():
            if clock - since >= FORGOTTEN_AFTER and index not in again:
                node, job = self._record.nodes[index], self._record.job(index)
                why = "nothing is known of its job any more; it may have run"
                self._driver.settle(index, Outcome(node, UNREACHABLE, None, job, reason=why))

    # -- the end ------------------------------------------------------------------------------

    def _see_to_end(self, cancelled_by: str) -> Plan[None]:
        if self._ending is None:
            if cancelled_by:
                why, cancelled = f"the run was cancelled by {cancelled_by}", True
            elif self._time.now() >= self._record.ends:
                why, cancelled = f"the run's time ({self._record.timeout:g} s) was up", False
            else:
                return
            yield from self._look_at(self._progress.running)
            self._ending = Ending(
                self._core, self._driver, self._progress, why, cancelled=cancelled
            )
            if self._progress.running:
                yield Emit(Note(f"{why}: ending what runs"))
        yield from self._ending.go_on()

    def _end(self) -> float:
        """When all must have ended, by the client's clock: its time, and that of its end."""
        left = (self._record.ends - self._time.now()) / 1000
        return self._core.clock() + left + end_seconds(self._progress)

    def _give_up(self, why: str) -> None:
        """Give an outcome to whoever has none."""
        for index in self._progress.missing:
            self._driver.settle(index, given_up(self._progress, index, why))

    # -- telling ------------------------------------------------------------------------------

    def _with_marks(self, indexes: Iterable[int]) -> list[Entry]:
        return [Entry(index, mark=self._progress.marks[index]) for index in indexes]

    def _begin(self, entries: Iterable[Entry]) -> Plan[None]:
        """Tell which nodes were started."""
        begun = [entry.index for entry in entries if entry.mark is not None]
        fresh = [index for index in begun if index not in self._begun]
        self._begun.update(fresh)
        for index in fresh:
            yield Emit(Started(self._record.nodes[index], self._record.job(index)))
        yield from self._ear.started(fresh)

    def _tell(self) -> Plan[None]:
        """Tell the outcomes that were not told yet, each after all that its job wrote."""
        progress, told = self._progress, self._told
        fresh = [index for index in progress.outcomes if index not in told]
        if not fresh:
            return
        cut = [index for index in fresh if index in self._cut]
        for index, result in (yield from self._driver.jobs.results(cut)).items():
            if isinstance(result, JobResult):
                whole = msgspec.structs.replace(progress.outcomes[index], result=result)
                progress.outcomes[index] = whole
        self._cut.difference_update(cut)
        yield from self._ear.ended({index: progress.outcomes[index] for index in fresh})
        yield from self._emit(fresh)

    def _emit(self, indexes: Iterable[int]) -> Plan[None]:
        self._absences.forget(indexes)
        for index in indexes:
            outcome = self._progress.outcomes[index]
            if outcome.job is not None and index not in self._begun:
                self._begun.add(index)
                yield Emit(Started(outcome.node, outcome.job))
            self._told.add(index)
            yield Emit(outcome)

    # -- Redis away ---------------------------------------------------------------------------

    def _wait_for_redis(self, error: StoreUnavailableError) -> Plan[None]:
        self._ear.lost()
        self._absences.reset()
        self._untraced.clear()
        if not self._is_away:
            self._is_away = True
            yield Emit(Note(f"Redis cannot be reached: {error}"))
        if self._core.clock() >= min(self._last, self._end()):
            self._give_up("Redis could not be reached")
            fresh = [index for index in self._progress.outcomes if index not in self._told]
            yield from self._emit(fresh)
            return
        yield Sleep(self._backoff)
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF)

    def _recovered(self) -> None:
        self._is_away = False
        self._backoff = _FIRST_BACKOFF
