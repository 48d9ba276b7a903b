"""What becomes of a command that a node had claimed which is away. Pure."""

from __future__ import annotations

import sys

from corex_node.inbound import Inbound
from corex_node.manager.outcome import Outcome, of_state
from corex_node.recovery import inbound_of, parse_entry
from corex_node.rules import is_lost
from corex_shared import codec
from corex_shared.errors import DecodeError
from corex_shared.models import Command
from corex_shared.states import JobState, Stage

_MARGIN_MS = 1000
"""A command expires for others later than for its node, whose clock may be behind the server's:
the node may come back and start it while others write that it was never run."""


def read(field: bytes, value: bytes) -> Inbound | None:
    """Read an entry of the claimed hash; None when its node has to make something of it."""
    left = parse_entry(field, value)
    if left is None:
        return None
    found = inbound_of(left)
    return found if found.command is not None else None


def expiry_of(item: Inbound) -> int | None:
    """When a command expires for others than its node, in ms since the epoch; None for never.

    A recurring job that waits may have run: it is its node's to go on with.
    """
    command = item.command
    if command is None or (item.was is Stage.WAITING and command.recurring_period):
        return None
    return _expiry(command)


def expiry_in(payload: bytes) -> int | None:
    """The same of a command that no node has taken; None too for what is no command."""
    try:
        return _expiry(codec.decode_command(payload, sys.maxsize)[0])
    except DecodeError:
        return None


def _expiry(command: Command) -> int | None:
    return None if command.expires_at is None else command.expires_at + _MARGIN_MS


def lost(by: str) -> Outcome:
    """Make the outcome of what ran as its node went away, as the agent of node `by` says it."""
    return of_state(JobState.LOST, f"its node went away while it ran (settled by node {by})")


def verdict_of(item: Inbound, now: float, by: str) -> Outcome | None:
    """Tell how a command ends whose node is away; None when it waits for its node.

    Args:
        item: of `read`.
        now: the server's time in ms since the epoch.
        by: the node whose agent says so.
    """
    command = item.command
    if command is None:
        return None
    if is_lost(command, item.was):
        return lost(by)
    expiry = expiry_of(item)
    if expiry is not None and expiry <= now:
        why = f"expires_at was over before its node came back (settled by node {by})"
        return of_state(JobState.EXPIRED, why)
    return None
