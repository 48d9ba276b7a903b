"""The exit code of a run; apart from the others, which need nothing of the fleet."""

from __future__ import annotations

from collections.abc import Sequence

from corex.cli.exits import FAILED, NO_ANSWER, TIMED_OUT, exit_code
from corex.fleet.ending import NOT_TAKEN
from corex.fleet.outcome import FINISHED, UNREACHABLE, Outcome
from corex_shared.states import JobState


def exit_code_of_run(outcomes: Sequence[Outcome], *, overdue: bool = False) -> int:
    """Translate the outcomes of a run.

    Args:
        outcomes: one for each node.
        overdue: whether the time of the run was up before all had ended.
    """
    if all(outcome.ok for outcome in outcomes):
        return 0
    if not any(_has_answered(outcome, overdue=overdue) for outcome in outcomes):
        return NO_ANSWER
    if len(outcomes) > 1:
        return FAILED
    (outcome,) = outcomes
    if overdue and (outcome.status == UNREACHABLE or _is_killed(outcome)):
        return TIMED_OUT
    return FAILED if outcome.result is None else exit_code(outcome.result)


def _has_answered(outcome: Outcome, *, overdue: bool) -> bool:
    """Tell whether a node has done anything about its command."""
    if outcome.status == UNREACHABLE:  # it may have taken it, and what it did then is not known
        return overdue and outcome.job is not None and not outcome.reason.startswith(NOT_TAKEN)
    if outcome.result is None or not (overdue and _is_killed(outcome)):
        return outcome.status == FINISHED
    return outcome.result.attempts > 0


def _is_killed(outcome: Outcome) -> bool:
    return outcome.result is not None and outcome.result.state is JobState.KILLED
