"""What the settings allow, as each part of the agent wants to know it."""

from __future__ import annotations

import resource

import structlog

from corex_node.config import Config
from corex_node.manager.limits import Limits
from corex_node.manager.restarts import Backoff
from corex_node.outbox import OutboxLimits
from corex_node.reaped import Manner
from corex_node.reaper import ReaperLimits

_DESCRIPTORS_PER_JOB = 4
_DESCRIPTORS_BESIDE = 128

_log = structlog.get_logger()


def outbox_limits(config: Config) -> OutboxLimits:
    """Take the bounds of the outbox from the settings."""
    limits = config.limits
    return OutboxLimits(
        limits.held_output, limits.flowing_output, limits.log, int(limits.retention * 1000)
    )


def reaper_limits(config: Config) -> ReaperLimits:
    """Take what the reaper goes by from the settings."""
    limits = config.limits
    patience = limits.lease if limits.reap is None else limits.reap
    return ReaperLimits(limits.lease, patience)


def manner_of_reaping(config: Config) -> Manner:
    """Take from the settings how jobs of others are settled."""
    levels = frozenset(config.logging.levels)
    return Manner(config.main.id, levels, outbox_limits(config).retention_ms)


def manager_limits(config: Config) -> Limits:
    """Take the bounds of the process manager from the settings."""
    limits = config.limits
    backoff = Backoff(
        limits.restart_first,
        limits.restart_factor,
        limits.restart_cap,
        healthy=limits.restart_healthy,
    )
    return Limits(
        max_jobs=config.main.max_jobs,
        max_waiting=limits.waiting,
        kept_output=limits.kept_output,
        backlog=limits.backlog,
        backlog_messages=limits.backlog_messages,
        grace=limits.grace,
        linger=limits.linger,
        backoff=backoff,
    )


def raise_descriptor_limit(config: Config) -> None:
    """Allow as many descriptors as jobs and files may need, as far as the system lets us."""
    needed = config.main.max_jobs * _DESCRIPTORS_PER_JOB + _DESCRIPTORS_BESIDE
    needed += config.limits.open_files
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        allowed = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < needed:
            _log.warning("limits.descriptors", needed=needed, allowed=allowed)
