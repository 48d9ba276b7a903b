"""The commands that every node answers; one module a family."""

from __future__ import annotations

from dataclasses import dataclass

from corex_node.builtins import (
    config,
    core,
    explain,
    filesystem,
    info,
    jobs,
    logger,
    processes,
    queues,
    state,
    statistics,
    subscribe,
    system,
    web,
)
from corex_node.builtins.extensions import register_extensions
from corex_node.builtins.files.descriptors import DescriptorTable
from corex_node.clock import ServerClock
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
        files: that commands have opened.
        clock: the server's time.
    """

    config: Config
    statistics: Statistics
    monitors: Monitors
    feeds: Feeds
    files: DescriptorTable
    clock: ServerClock


def standard_registry() -> Registry:
    """Make a registry of the commands that need nothing but a process manager."""
    registry = Registry()
    for family in (core, info, jobs, processes, queues, state, subscribe, system, web):
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
    explain.register(registry, facilities.clock)
    filesystem.register(registry, facilities.files)
    logger.register(registry, facilities.feeds)
    statistics.register(registry, facilities.statistics, facilities.monitors)
    registry.include(ADDED)
    register_extensions(registry, facilities.config.extension)
    return registry
