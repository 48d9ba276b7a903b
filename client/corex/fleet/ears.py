"""How one who waits for a run hears of it: by the client's inbox, or by what the jobs write.

Both are hints only: what has ended is told by the result keys, which the watch looks at as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from corex.core import Core
from corex.effects import Emit, Plan, Sleep, Subscribe
from corex.fleet.outcome import Outcome
from corex.fleet.record import RunRecord
from corex.follow import Following, output_without_log
from corex.results import listen
from corex.streams import MessageOrder
from corex_shared.models import JobResult
from corex_shared.states import JobState


class Ear(Protocol):
    """Hears of the jobs of one run."""

    def wait(self, seconds: float, *, driving: bool) -> Plan[dict[int, JobResult | None]]:
        """Wait until something is heard or the time is up.

        Args:
            seconds: how long.
            driving: whether the results are for this one to see to.

        Returns:
            The nodes whose jobs have ended, as it seems, with the result if that was told.
        """

    def started(self, indexes: Iterable[int]) -> Plan[None]:
        """Take note that jobs were started."""

    def ended(self, outcomes: Mapping[int, Outcome]) -> Plan[None]:
        """Emit what is left to be said of jobs that have ended, or never will begin."""

    def lost(self) -> None:
        """Take note that the connection was lost."""

    def close(self) -> None:
        """Listen no more."""


class InboxEar:
    """Hears of results by the client's inbox, over the connection that it has for all of them."""

    def __init__(self, core: Core, record: RunRecord, missing: Iterable[int]) -> None:
        """Begin to wait for mail.

        Args:
            core: the client's surroundings.
            record: of the run.
            missing: the nodes that have no outcome.
        """
        self._mailbox = core.mailbox
        self._indexes = {record.job(index): index for index in missing}
        self._waiter = core.mailbox.open(self._indexes)
        self._deaf = False

    def wait(self, seconds: float, *, driving: bool) -> Plan[dict[int, JobResult | None]]:
        """Wait for mail; who does not drive the run gets none."""
        if self._deaf or not driving:
            yield Sleep(seconds)
        else:
            self._deaf = not (yield from listen(self._waiter, seconds))
        found: dict[int, JobResult | None] = {}
        for mail in self._waiter.take():
            # A second copy of a command was refused: that says nothing of the first.
            refused = mail.result is not None and mail.result.state is JobState.DUPLICATE_ID
            found[self._indexes[mail.job]] = None if refused else mail.result
        return found

    def started(self, indexes: Iterable[int]) -> Plan[None]:
        """Nothing is to be done: all mail is waited for."""
        yield from ()

    def ended(self, outcomes: Mapping[int, Outcome]) -> Plan[None]:
        """Nothing is left to be said."""
        yield from ()

    def lost(self) -> None:
        """Nothing is to be done: the next wait connects again."""

    def close(self) -> None:
        """Wait for no more mail."""
        self._mailbox.close(self._waiter)


class SilentEar(InboxEar):
    """Hears of results; of output that nobody publishes it tells how much there was."""

    def ended(self, outcomes: Mapping[int, Outcome]) -> Plan[None]:
        """Emit a gap for each job that wrote something."""
        for outcome in outcomes.values():
            order = MessageOrder(outcome.job or "")
            gap = output_without_log(order, outcome.result)
            if gap is not None:
                yield Emit(gap)


class StreamEar:
    """Hears all that jobs write, over one subscription, and emits it."""

    def __init__(self, core: Core, record: RunRecord) -> None:
        """Prepare.

        Args:
            core: the client's surroundings.
            record: of the run.
        """
        jobs = [record.job(index) for index in range(len(record.nodes))]
        self._jobs = jobs
        self._indexes = {job: index for index, job in enumerate(jobs)}
        self._following = Following(core, (), coming=jobs)
        self._subscribed = False

    def wait(self, seconds: float, *, driving: bool) -> Plan[dict[int, JobResult | None]]:
        """Listen, and emit the messages that come."""
        del driving  # the output is everybody's
        before = set(self._following.open)
        if self._subscribed:
            self._subscribed = yield from self._following.hear(seconds)
        elif channels := self._following.channels():
            yield Subscribe(channels)
            self._subscribed = True
            yield from self._following.catch_up(sorted(before))
        else:
            yield Sleep(seconds)
        return {self._indexes[job]: None for job in before - self._following.open}

    def started(self, indexes: Iterable[int]) -> Plan[None]:
        """Look at jobs from now on; what they said before is in their logs."""
        jobs = [self._jobs[index] for index in indexes]
        for job in jobs:
            self._following.add(job)
        if self._subscribed:
            yield from self._following.catch_up(
                [job for job in jobs if job in self._following.open]
            )

    def ended(self, outcomes: Mapping[int, Outcome]) -> Plan[None]:
        """Emit the rest of the logs."""
        for index, outcome in outcomes.items():
            if outcome.job is None:
                self._following.drop(self._jobs[index])
            else:
                self._following.add(self._jobs[index])
        yield from self._following.conclude(
            {self._jobs[index]: outcome.result for index, outcome in outcomes.items()}
        )

    def lost(self) -> None:
        """Subscribe anew, and read in the logs what was not heard."""
        self._subscribed = False

    def close(self) -> None:
        """Nothing is to be done: the subscription ends with the plan."""
