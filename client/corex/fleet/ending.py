"""Ending a run before its nodes have: what no node has taken is taken back, the rest is killed."""

from __future__ import annotations

from corex.core import Core
from corex.effects import Plan
from corex.fleet.driver import Driver
from corex.fleet.outcome import SKIPPED, UNREACHABLE, Outcome, finished
from corex.fleet.progress import Progress
from corex.ticket import Ticket

END_WAIT = 10.0
"""Seconds that jobs have to end which are killed; more if their grace is more than usual."""
NOT_TAKEN = "it did not take the command"
"""How the reason of a node begins that has surely not run its job."""
_GRACE = 5.0
_FIRST_PAUSE = 1.0


class Ending:
    """The end of one run, from when it was decided.

    Attributes:
        why: it ends.
    """

    def __init__(
        self, core: Core, driver: Driver, progress: Progress, why: str, *, cancelled: bool
    ) -> None:
        """Decide it; nothing more is started.

        Args:
            core: the client's surroundings.
            driver: of the run.
            progress: of the run.
            why: it ends, within a sentence.
            cancelled: whether somebody wishes it; else its time is up.
        """
        self.why = why
        self._core = core
        self._driver = driver
        self._progress = progress
        self._cancelled = cancelled
        self._asked: list[Ticket] = []
        self._taken_back = False
        self._pause = _FIRST_PAUSE
        self._next = core.clock()
        self._until = core.clock() + end_seconds(progress)
        progress.schedule.stop(why)

    def _take_back(self) -> Plan[None]:
        """Take back what no node has taken."""
        progress = self._progress
        taken = yield from self._driver.jobs.withdraw(progress.running, progress.marks, self.why)
        for index, result in taken.items():
            node, job = progress.record.nodes[index], progress.record.job(index)
            if not self._cancelled:
                why = f"{NOT_TAKEN} before {self.why}"
                outcome = Outcome(node, UNREACHABLE, None, job, reason=why)
            elif result is None:
                outcome = Outcome(node, SKIPPED, None, job, reason=f"not started: {self.why}")
            else:
                outcome = finished(node, result, self.why)
            self._driver.settle(index, outcome)
        self._taken_back = True

    def go_on(self) -> Plan[None]:
        """Take back, then ask for the rest to be killed, again and again; give it up at last.

        Raises:
            StoreError: Redis cannot be reached or refused; to be called again.
        """
        if not self._taken_back:
            yield from self._take_back()
        now, running = self._core.clock(), self._progress.running
        if not running:
            return
        if now >= self._until:
            yield from self._driver.jobs.take_back(self._asked)
            for index in running:
                self._driver.settle(index, given_up(self._progress, index, self.why))
        elif now >= self._next:
            until = self._driver.time.now() + int((self._until - now) * 1000)
            self._asked += yield from self._driver.jobs.ask_to_kill(running, until)
            self._next = now + self._pause
            self._pause *= 2


def end_seconds(progress: Progress) -> float:
    """Tell how long the end of a run may take, in seconds: jobs have their grace."""
    grace = progress.record.command.grace
    return END_WAIT + max(0.0, (_GRACE if grace is None else grace) - _GRACE)


def given_up(progress: Progress, index: int, why: str) -> Outcome:
    """Make the outcome of a node that did not answer."""
    record = progress.record
    if index not in progress.marks:
        return Outcome(record.nodes[index], SKIPPED, reason=f"not started: {why}")
    reason = f"it did not answer when {why}; its job may still run"
    return Outcome(record.nodes[index], UNREACHABLE, None, record.job(index), reason=reason)
