"""The commands that every node answers; one module a family."""

from corex_node.builtins import core, jobs
from corex_node.manager.registry import Registry


def standard_registry() -> Registry:
    """Make a registry that holds every built-in command."""
    registry = Registry()
    core.register(registry)
    jobs.register(registry)
    return registry
