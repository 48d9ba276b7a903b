r"""Nodes in memory, for tests of code that uses corex: no server, no agent, no process.

::

    import corex.testing

    def test_deploy() -> None:
        with corex.testing.fleet(["web-1", "web-2"]) as cx:
            web = cx.memory_node("web-1")
            web.answer("bash", stdout="ok\n", script="make")
            assert cx.node("web-1").bash("make all").wait(timeout=5).stdout == "ok\n"
            assert [command.command for command in web.commands] == ["bash"]

The client is the real one, with all that it does; only Redis is in memory, and the nodes at its
other end. It needs what `pip install 'corex-runner[testing]'` brings. With pytest there is the
fixture `corex_fleet`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corex.testing.answers import Answer
    from corex.testing.job import MemoryJob
    from corex.testing.memory_fleet import MemoryFleet, fleet
    from corex.testing.node import MemoryNode

__all__ = ["Answer", "MemoryFleet", "MemoryJob", "MemoryNode", "fleet"]

_HOMES = {
    "Answer": "answers",
    "MemoryFleet": "memory_fleet",
    "MemoryJob": "job",
    "MemoryNode": "node",
    "fleet": "memory_fleet",
}


def __getattr__(name: str) -> Any:
    """Load a public name: pytest imports this package for its plugin, in every project's tests.

    Raises:
        AttributeError: there is none of that name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
