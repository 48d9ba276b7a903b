"""How far a run is: which nodes were started, what became of which, and whose turn is next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from corex.fleet.outcome import SKIPPED, Outcome
from corex.fleet.record import Entry, Mark, RunRecord, mark_entry, outcome_entry
from corex.fleet.schedule import Schedule


class ServerTime:
    """The server's time: what it said last, and what has passed since. All in ms."""

    def __init__(self, clock: Callable[[], float], now: int) -> None:
        """Begin with what the server says now.

        Args:
            clock: monotonic seconds.
            now: in ms since the epoch.
        """
        self._clock = clock
        self.heard(now)

    def heard(self, now: int) -> None:
        """Take note of what the server says now."""
        self._now, self._at = now, self._clock()

    def now(self) -> int:
        """The time, in ms since the epoch."""
        return self._now + int((self._clock() - self._at) * 1000)


class Progress:
    """How far one run is, as far as one who waits for it knows.

    Attributes:
        record: what the run is.
        marks: of the nodes that are being, or were, started.
        outcomes: of the nodes that have one.
        pushed: of the nodes whose command this program has pushed, with an answer.
        schedule: whose turn is next.
    """

    def __init__(
        self,
        record: RunRecord,
        marks: Mapping[int, Mark] | None = None,
        outcomes: Mapping[int, Outcome] | None = None,
        pushed: set[int] | None = None,
    ) -> None:
        """Begin with what is known already.

        Args:
            record: of the run.
            marks: that are known.
            outcomes: that are known.
            pushed: of the nodes whose command this program has pushed; added to here.
        """
        self.record = record
        self.pushed = set() if pushed is None else pushed
        self.marks: dict[int, Mark] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.schedule = Schedule(record.nodes, record.bounds)
        for index, mark in (marks or {}).items():
            self.begin(index, mark)
        for index, outcome in (outcomes or {}).items():
            self.end(index, outcome)

    @property
    def done(self) -> bool:
        """Whether every node has an outcome."""
        return len(self.outcomes) == len(self.record.nodes)

    @property
    def running(self) -> list[int]:
        """The nodes that were started and have no outcome, in order."""
        return sorted(self.marks.keys() - self.outcomes.keys())

    @property
    def missing(self) -> list[int]:
        """The nodes that have no outcome, in order."""
        return [index for index in range(len(self.record.nodes)) if index not in self.outcomes]

    def begin(self, index: int, mark: Mark) -> bool:
        """Take note that a node is being started; tell whether that is news."""
        if index in self.marks or index in self.outcomes:
            return False
        self.marks[index] = mark
        self.schedule.started(index)
        return True

    def end(self, index: int, outcome: Outcome) -> bool:
        """Take note of an outcome; tell whether it is the first, the only one that counts."""
        if index in self.outcomes:
            return False
        self.outcomes[index] = outcome
        if outcome.status == SKIPPED:
            self.schedule.skipped(index, outcome.reason)
        else:
            self.schedule.ended(index, ok=outcome.ok)
        return True

    def take(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take note of what the journal says; return what of it is news, in order."""
        news = []
        for entry in entries:
            if entry.outcome is not None:
                is_news = self.end(entry.index, entry.outcome)
            else:
                is_news = entry.mark is not None and self.begin(entry.index, entry.mark)
            if is_news:
                news.append(entry)
        return news

    def rebuild(self) -> None:
        """Have the schedule go by marks and outcomes alone: turns that came to nothing wait."""
        self.schedule = Schedule(self.record.nodes, self.record.bounds)
        for index in self.marks:
            self.schedule.started(index)
        outcomes, self.outcomes = self.outcomes, {}
        for index, outcome in outcomes.items():
            self.end(index, outcome)

    def entries(self) -> list[bytes]:
        """Write all that is known as entries of a journal."""
        marks = [mark_entry(index, mark) for index, mark in self.marks.items()]
        return marks + [outcome_entry(index, one) for index, one in self.outcomes.items()]
