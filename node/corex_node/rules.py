"""Why a command is not to be run, if it is not: the rules of a node, first to last. Pure."""

from __future__ import annotations

from typing import NamedTuple

from corex_node.manager.outcome import Outcome, of_rejection, of_state
from corex_shared.models import Command
from corex_shared.states import JobState, Stage


class Refusal(NamedTuple):
    """A rule that forbids a command, and what its result says."""

    rule: str
    outcome: Outcome


def refusal_of(command: Command, is_known: bool, now_ms: int) -> Refusal | None:
    """Tell why a command is not to be run; None when nothing forbids it.

    Args:
        command: what was asked.
        is_known: whether the node has a command of that name.
        now_ms: the server's time, in ms since the epoch.
    """
    if not is_known:
        why = f"no such command: {command.command}"
        return Refusal("command", of_state(JobState.UNKNOWN_CMD, why))
    if command.queue_scope == "fleet" and command.queue is None:
        why = "queue_scope: fleet needs a queue"
        return Refusal("queue_scope", of_rejection(why))
    if command.expires_at is not None and command.expires_at <= now_ms:
        why = "expires_at was over before it could start"
        return Refusal("expires_at", of_state(JobState.EXPIRED, why))
    return None


def is_lost(command: Command, was: Stage | None) -> bool:
    """Whether a command ran when its agent died, and may not run again.

    Args:
        command: what was asked.
        was: stage at which it was left, None when nobody had it before.
    """
    return was is Stage.RUNNING and command.on_lost != "retry"


def levels_of(command: Command, default: frozenset[int]) -> frozenset[int]:
    """Levels of a command's messages that go to the node's log channel."""
    return frozenset(command.log_levels) if command.log_levels else default
