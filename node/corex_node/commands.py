"""Commands that code adds to every agent made in this process: `corex_node.command` and its like.

They are registered as their module is imported, so an agent has those that were imported before it
was made. An agent of its own commands is given a registry instead.
"""

from __future__ import annotations

from corex_node.manager.registry import Registry

ADDED = Registry()
"""What the decorators below have added."""

command = ADDED.command
"""See `Registry.command`."""

program = ADDED.program
"""See `Registry.program`."""

factory = ADDED.factory
"""See `Registry.factory`."""
