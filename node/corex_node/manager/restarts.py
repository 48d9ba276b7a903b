"""Whether and when a job runs again. Pure: time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each further run, in seconds.

    Attributes:
        first: before the second run.
        factor: by which each wait is longer than the one before.
        cap: longest wait.
        jitter: part of the wait (0 to 1) that chance may take off.
        healthy: a run that lasted this long begins the count anew.
    """

    first: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    jitter: float = 0.2
    healthy: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Tell how long to wait after so many failures in a row.

        Args:
            failures: 1 or more.
            chance: from 0 to 1.
        """
        # Past this exponent every factor above 1.01 is at the cap, and a float cannot overflow.
        wait = min(self.cap, self.first * self.factor ** min(failures - 1, 64))
        return wait * (1 - self.jitter * chance)


PROTECTED = Backoff(first=2.0, factor=1.5, cap=300.0)
"""Waits between runs of a protected job."""


@dataclass(slots=True)
class RestartPolicy:
    """Decides after each run.

    Attributes:
        max_runs: runs allowed while none succeeds; 0 or 1 mean a single one, None any number, and
            those that succeed are followed by another too.
        period: seconds between runs of a recurring job, None for one that is not.
        backoff: waits between restarts.
    """

    max_runs: int | None
    period: float | None
    backoff: Backoff
    failed_runs: int = 0

    def after(self, succeeded: bool, lasted: float, chance: float) -> float | None:
        """Decide what follows a run that nobody ended on purpose.

        Args:
            succeeded: its outcome.
            lasted: how long it ran, in seconds.
            chance: from 0 to 1, for the jitter.

        Returns:
            Seconds to wait before the next run, or None: the job has ended.
        """
        if self.period is not None:
            return self.period
        if succeeded and self.max_runs is not None:
            return None
        if lasted >= self.backoff.healthy:
            self.failed_runs = 0
        self.failed_runs += 1
        if self.max_runs is not None and self.failed_runs >= self.max_runs:
            return None
        return self.backoff.delay(self.failed_runs, chance)


def policy_of(
    runs: int | None, period: float | None, protected: bool, backoff: Backoff, shielded: Backoff
) -> RestartPolicy | None:
    """Choose the policy of a job; None for one that runs once.

    Args:
        runs: `max_restart` of its command.
        period: `recurring_period` of its command.
        protected: whether it is always started again.
        backoff: between restarts.
        shielded: between restarts of a protected job.
    """
    if protected:
        return RestartPolicy(None, period or None, shielded)
    if not period and (runs or 0) <= 1:
        return None
    return RestartPolicy(runs or 0, period or None, backoff)
