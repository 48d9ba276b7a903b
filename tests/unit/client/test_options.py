"""Keyword arguments and the commands made of them."""

from __future__ import annotations

from typing import Any

import pytest

from corex.options import bash_command, make_command, system_command
from corex_shared.models import Command


def test_a_program() -> None:
    """Options of the process become arguments, the others fields of the command."""
    command = system_command(
        "ls",
        ("-l",),
        dir="/tmp",
        env={"A": "b"},
        stdin="x",
        umask=0o22,
        user=None,
        queue="q",
        max_time=5,
        tags=("t",),
    )
    assert command == Command(
        "core.system",
        {
            "name": "ls",
            "args": ["-l"],
            "dir": "/tmp",
            "env": {"A": "b"},
            "stdin": "x",
            "umask": 0o22,
        },
        queue="q",
        max_time=5,
        tags=["t"],
    )


def test_a_program_without_arguments() -> None:
    """What was not given is not sent."""
    assert system_command("true", None) == Command("core.system", {"name": "true"})


def test_a_string_is_no_list_of_arguments() -> None:
    """A single string would become one argument a letter."""
    with pytest.raises(TypeError, match="args is a list"):
        system_command("ls", "-l")


def test_a_script() -> None:
    """A script has its input and the options of every command."""
    assert bash_command("cat", "x", {"stream": True}) == Command(
        "bash", {"script": "cat", "stdin": "x"}, stream=True
    )


def test_an_unknown_option_is_refused() -> None:
    """A misspelt option is not lost in silence."""
    options: Any = {"max_tme": 5}
    misspelt: Any = {"dri": "/"}
    with pytest.raises(TypeError, match="no such option: max_tme"):
        make_command("core.ping", None, options)
    with pytest.raises(TypeError, match="no such option: dri"):
        system_command("ls", None, **misspelt)
