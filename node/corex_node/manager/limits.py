"""Bounds of the process manager."""

from __future__ import annotations

from dataclasses import dataclass, field

from corex_node.manager.restarts import Backoff


@dataclass(frozen=True, slots=True)
class Limits:
    """What a manager may take and keep; times in seconds, sizes in bytes.

    Attributes:
        max_jobs: jobs running at once.
        max_waiting: jobs that wait for their queue.
        kept_output: last part of each stream that a result holds.
        grace: between TERM and KILL, for commands that do not say.
        linger: how long a grandchild that holds the output of an ended program is heard.
        partial: after which an unfinished line is passed on.
        backoff: between restarts.
    """

    max_jobs: int = 200
    max_waiting: int = 1000
    kept_output: int = 128 * 1024
    grace: float = 5.0
    linger: float = 2.0
    partial: float = 0.1
    backoff: Backoff = field(default_factory=Backoff)
