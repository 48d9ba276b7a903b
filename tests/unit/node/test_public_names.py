"""What code that extends a node imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import corex_node
from corex_node.commands import ADDED
from corex_node.manager.registry import TakenNameError


@pytest.mark.parametrize("name", corex_node.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each can be imported from the package itself."""
    assert getattr(corex_node, name) is not None


def test_an_unknown_name_is_none_of_them() -> None:
    """Asking for it is an error as in any module."""
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        corex_node.nothing_of_that_name  # noqa: B018 # looking is the test


def _loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return set(done.stdout.split())


def test_importing_the_package_costs_nothing() -> None:
    """The small processes beside the agent import it without what they do not need."""
    assert not {"redis", "structlog", "msgspec", "psutil"} & _loaded_by("corex_node")


def test_the_command_line_loads_no_agent() -> None:
    """`corex node run` is replaced by the agent, which would have to load it all again."""
    assert not {"redis", "structlog", "asyncio", "corex_node.agent"} & _loaded_by("corex_node.cli")


def test_the_decorator_adds_a_command_to_later_agents() -> None:
    """A name can be added once."""
    name = "test.added-by-decorator"
    assert name not in ADDED
    corex_node.command(name)(_greet)
    entry = ADDED.get(name)
    assert entry is not None
    assert entry.bind(entry.parse({"name": "you"}), None)() == "hello you"
    with pytest.raises(TakenNameError, match=name):
        corex_node.command(name)(_greet)


def _greet(name: str, times: int = 1) -> str:
    return "hello " * times + name
