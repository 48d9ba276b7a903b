"""The ends of jobs that other agents had: how they are made, and what is told of them. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec

from corex_node.inbound import Inbound
from corex_node.manager.outcome import Outcome
from corex_node.manager.results import result_unstarted
from corex_node.rules import levels_of
from corex_shared.models import Command, JobResult


@dataclass(frozen=True, slots=True)
class Manner:
    """How jobs of others are settled.

    Attributes:
        by: node whose agent does so.
        levels: of messages that go to a node's log channel unless a command says otherwise.
        retention_ms: how long results live.
    """

    by: str
    levels: frozenset[int]
    retention_ms: int

    def result(self, node: str, item: Inbound, command: Command, outcome: Outcome) -> JobResult:
        """Make the result of a command as if its own node did; its ticket is made ready for it.

        Args:
            node: whose command it was.
            item: the command, as it was claimed.
            command: of the item.
            outcome: how it ends.
        """
        item.ticket.levels = levels_of(command, self.levels)
        return result_unstarted(command, node, outcome)

    def lapsed(self, node: str, seen: bytes) -> bytes:
        """Make the event that tells that a node's lease has run out.

        Args:
            node: which.
            seen: when it was seen last, as Redis writes it, in ms.
        """
        return msgspec.json.encode(
            {
                "event": "node.lapsed",
                "time": time.time_ns() // 1_000_000,
                "node": node,
                "last_seen": int(float(seen)),
                "by": self.by,
            }
        )

    def event(self, result: JobResult) -> bytes:
        """Make the event that tells of a result: `{event, time (ms), node, job, …, by}`."""
        return msgspec.json.encode(
            {
                "event": "reaped",
                "time": time.time_ns() // 1_000_000,
                "node": result.node,
                "job": result.id,
                "command": result.command,
                "state": result.state,
                "by": self.by,
            }
        )
