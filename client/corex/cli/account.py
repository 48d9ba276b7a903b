"""What became of a run's nodes, in a few lines on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from corex.cli.clock import server_ms
from corex.cli.exits import has_exit_code
from corex.cli.render import failure, say
from corex.cli.units import age
from corex.fleet.outcome import SKIPPED, UNREACHABLE, Outcome
from corex_shared.errors import StoreError
from corex_shared.states import JobState

if TYPE_CHECKING:
    from corex.sync import Client

MOST_NAMED = 20
"""Nodes of which each has its line; the others are counted."""
_MOST_IN_LINE = 10
"""Nodes that are named in one line."""


def give_account(
    client: Client,
    outcomes: Sequence[Outcome],
    *,
    several: bool,
    counted: bool = True,
    overdue: float | None = None,
) -> None:
    """Say which nodes did not succeed, and why.

    Args:
        client: to ask for the time by which ages are told.
        outcomes: of the run, in the order of its nodes.
        several: whether it was for several nodes.
        counted: whether all of several have ended, and may be counted.
        overdue: seconds that it had, if they were up before it had ended.
    """
    bad = [outcome for outcome in outcomes if outcome.failed]
    now_ms = _now_ms(client, bad)
    for outcome in bad[:MOST_NAMED]:
        if not several and overdue is not None and _was_ended(outcome):
            say(f"{outcome.node}: not within {overdue:g} s")
        elif several or not _speaks_for_itself(outcome):
            say(_why(outcome, now_ms))
    if len(bad) > MOST_NAMED:
        say(f"… and {len(bad) - MOST_NAMED} more that did not succeed")
    skipped: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == SKIPPED:
            skipped.setdefault(outcome.reason, []).append(outcome.node)
    for reason, nodes in skipped.items():
        say(f"{name_some(nodes)}: {reason}")
    # Whoever reads failures line by line, in a pipe, knows how many they are.
    is_plain = len(bad) <= MOST_NAMED and not any(o.status != "finished" for o in outcomes)
    if several and counted and (sys.stderr.isatty() or not is_plain):
        say(count(outcomes))


def count(outcomes: Sequence[Outcome]) -> str:
    """Write how many nodes ended how."""
    unreachable = sum(outcome.status == UNREACHABLE for outcome in outcomes)
    counts = {
        "failed": sum(outcome.failed for outcome in outcomes) - unreachable,
        "unreachable": unreachable,
        "skipped": sum(outcome.status == SKIPPED for outcome in outcomes),
    }
    parts = [f"{sum(outcome.ok for outcome in outcomes)} ok"]
    return ", ".join(parts + [f"{number} {what}" for what, number in counts.items() if number])


def say_cancelled(outcomes: Sequence[Outcome], before: Sequence[Outcome]) -> None:
    """Say what became of the nodes that had no outcome when a run was cancelled."""
    had = {outcome.node for outcome in before}
    rest = [outcome for outcome in outcomes if outcome.node not in had]
    killed = [one.node for one in rest if _was_ended(one)]
    skipped = [one.node for one in rest if one.status == SKIPPED]
    if sys.stderr.isatty() or len(outcomes) > 1:
        if killed:
            say(f"killed on {name_some(killed)}")
        if skipped:
            say(f"not started on {name_some(skipped)}")
    for one in rest:
        if one.status == UNREACHABLE and one.job is not None:
            say(f"{one.node}: job {one.job} may still run")


def name_some(nodes: Sequence[str]) -> str:
    """Name nodes in a line: some of them, and how many more there are."""
    named = ", ".join(nodes[:_MOST_IN_LINE])
    more = len(nodes) - _MOST_IN_LINE
    return f"{named} and {more} more" if more > 0 else named


def _why(outcome: Outcome, now_ms: int) -> str:
    if outcome.status == UNREACHABLE:
        seen = ""
        if outcome.last_seen is not None:
            seen = f", last seen {age((now_ms - outcome.last_seen) / 1000)} ago"
        return f"{outcome.node}: unreachable{seen}: {outcome.reason}"
    if outcome.result is None or _was_ended(outcome):
        return f"{outcome.node}: {outcome.reason}"
    return failure(outcome.result)


def _was_ended(outcome: Outcome) -> bool:
    """Tell whether a job was killed for its run: its reason is not that of its result."""
    result = outcome.result
    return (
        result is not None
        and result.state is JobState.KILLED
        and not outcome.reason.startswith(f"{result.state.value} {result.code}")
    )


def _speaks_for_itself(outcome: Outcome) -> bool:
    """Tell whether nothing need be said of a single node: its program's exit code says it."""
    return outcome.result is not None and has_exit_code(outcome.result)


def _now_ms(client: Client, outcomes: Sequence[Outcome]) -> int:
    if any(outcome.last_seen is not None for outcome in outcomes):
        try:
            return client.perform(server_ms(client.core))
        except StoreError:
            pass
    return int(time.time() * 1000)
