"""The commands that every node answers; one module a family."""

from corex_node.builtins import core, jobs, queues, subscribe
from corex_node.manager.registry import Registry


def standard_registry() -> Registry:
    """Make a registry that holds every built-in command."""
    registry = Registry()
    for family in (core, jobs, queues, subscribe):
        family.register(registry)
    return registry
