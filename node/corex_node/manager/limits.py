"""Bounds of the process manager."""

from __future__ import annotations

from dataclasses import dataclass, field

from corex_node.manager.restarts import PROTECTED, Backoff


@dataclass(frozen=True, slots=True)
class Limits:
    """What a manager may take and keep; times in seconds, sizes in bytes.

    Attributes:
        max_jobs: jobs running at once.
        max_waiting: jobs that wait for their queue.
        kept_output: last part of each stream that a result holds.
        backlog: last messages of a job, in characters, that those who subscribe late get.
        backlog_messages: the same, in number.
        followed: characters that may wait for one who follows a job.
        followed_messages: the same, in number.
        grace: between TERM and KILL, for commands that do not say.
        linger: how long a grandchild that holds the output of an ended program is heard.
        partial: after which an unfinished line is passed on.
        backoff: between restarts.
        protected: between restarts of protected jobs.
    """

    max_jobs: int = 200
    max_waiting: int = 1000
    kept_output: int = 128 * 1024
    backlog: int = 64 * 1024
    backlog_messages: int = 100
    followed: int = 1024 * 1024
    followed_messages: int = 10_000
    grace: float = 5.0
    linger: float = 2.0
    partial: float = 0.1
    backoff: Backoff = field(default_factory=Backoff)
    protected: Backoff = PROTECTED
