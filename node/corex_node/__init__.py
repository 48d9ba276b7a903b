"""The agent: takes commands off Redis, runs them, and delivers their results.

What code that extends a node needs is here: `Agent` and its settings, `command` for commands of
your own, `Context` that they get, hooks and handlers that observe jobs. Each name is imported when
it is first used, since the small processes beside the agent need none of them.

    import corex_node

    @corex_node.command("greet")
    def greet(name: str, times: int = 1) -> str:
        return "hello " * times + name

docs/pm-api.md lists all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corex_node.agent import Agent
    from corex_node.commands import command, factory, program
    from corex_node.config import Config, load
    from corex_node.manager.context import Context
    from corex_node.manager.flags import JobFlags
    from corex_node.manager.handle import JobHandle
    from corex_node.manager.hooks import DelayHook, ExitHook, Hook, MatchHook, PidHook, StreamHook
    from corex_node.manager.limits import Limits
    from corex_node.manager.manager import ProcessManager
    from corex_node.manager.messages import JobMessage, Subscription
    from corex_node.manager.observers import Handler
    from corex_node.manager.registry import Program, Registry
    from corex_node.process.program import ProgramSpec

__all__ = [
    "Agent",
    "Config",
    "Context",
    "DelayHook",
    "ExitHook",
    "Handler",
    "Hook",
    "JobFlags",
    "JobHandle",
    "JobMessage",
    "Limits",
    "MatchHook",
    "PidHook",
    "ProcessManager",
    "Program",
    "ProgramSpec",
    "Registry",
    "StreamHook",
    "Subscription",
    "command",
    "factory",
    "load",
    "program",
]

_HOOKS = "corex_node.manager.hooks"
_PLACES = {
    "Agent": "corex_node.agent",
    "Config": "corex_node.config",
    "Context": "corex_node.manager.context",
    "DelayHook": _HOOKS,
    "ExitHook": _HOOKS,
    "Handler": "corex_node.manager.observers",
    "Hook": _HOOKS,
    "JobFlags": "corex_node.manager.flags",
    "JobHandle": "corex_node.manager.handle",
    "JobMessage": "corex_node.manager.messages",
    "Limits": "corex_node.manager.limits",
    "MatchHook": _HOOKS,
    "PidHook": _HOOKS,
    "ProcessManager": "corex_node.manager.manager",
    "Program": "corex_node.manager.registry",
    "ProgramSpec": "corex_node.process.program",
    "Registry": "corex_node.manager.registry",
    "StreamHook": _HOOKS,
    "Subscription": "corex_node.manager.messages",
    "command": "corex_node.commands",
    "factory": "corex_node.commands",
    "load": "corex_node.config",
    "program": "corex_node.commands",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(place), name)
    globals()[name] = value
    return value
