"""The commands that every node answers; one module a family."""

from __future__ import annotations

from dataclasses import dataclass

from corex_node.builtins import (
    config,
    core,
    jobs,
    logger,
    queues,
    state,
    statistics,
    subscribe,
    system,
)
from corex_node.builtins.extensions import register_extensions
from corex_node.commands import ADDED
from corex_node.config import Config
from corex_node.feeds import Feeds
from corex_node.manager.registry import Registry
from corex_node.statistics.monitors import Monitors
from corex_node.statistics.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Facilities:
    """The parts of an agent that commands are about.

    Attributes:
        config: settings.
        statistics: of the node.
        monitors: of the machine.
        feeds: lists of those who subscribed to the node's log.
    """

    config: Config
    statistics: Statistics
    monitors: Monitors
    feeds: Feeds


def standard_registry() -> Registry:
    """Make a registry of the commands that need nothing but a process manager."""
    registry = Registry()
    for family in (core, jobs, queues, state, subscribe, system):
        family.register(registry)
    return registry


def node_registry(facilities: Facilities) -> Registry:
    """Make the registry of an agent: built-ins, what code has added, extensions of its settings.

    Raises:
        TakenNameError: code has added a command of a built-in's name.
        ConfigError: an extension has a name that is taken.
    """
    registry = standard_registry()
    config.register(registry, facilities.config)
    logger.register(registry, facilities.feeds)
    statistics.register(registry, facilities.statistics, facilities.monitors)
    registry.include(ADDED)
    register_extensions(registry, facilities.config.extension)
    return registry
