"""Commands that are made of a program by the node's settings: `[extension.NAME]`.

The command takes an object of any arguments. `{name}` in the program's arguments is filled from
them (see `corex_node.templates`), each on its own: a value never becomes two arguments and never
passes a shell. `stdin` is what the program reads, and no value for a `{stdin}`. Arguments that
nothing asks for are ignored. Program, directory and environment are never filled: who calls the
command does not choose them.

With `shell`, program and arguments, joined by spaces, are a script for `sh`, into which values come
by way of variables (see `templates.fill_script`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from corex_node.builtins.stdin import stdin_of
from corex_node.config import Extension
from corex_node.manager.registry import Program, Registry, TakenNameError
from corex_node.process.program import ProgramSpec
from corex_node.templates import fill, fill_script
from corex_shared.errors import ConfigError

_SHELL = "/bin/sh"
_STDIN = "stdin"
_VARIABLE = "COREX_VALUE_"

Arguments = dict[str, Any]


def register_extensions(registry: Registry, extensions: Mapping[str, Extension]) -> None:
    """Add the commands that the settings define.

    Args:
        registry: holds the built-in commands already.
        extensions: by the name of the command.

    Raises:
        ConfigError: a command has that name already.
    """
    for name, extension in extensions.items():
        function: Callable[[Arguments], Program] = partial(_program, extension)
        if extension.shell:
            function = partial(_script, extension, name)
        try:
            registry.program(name, dict)(function)
        except TakenNameError as error:
            key = f"extension.{name}"
            raise ConfigError("settings", key, "there is a command of that name already") from error


def _program(extension: Extension, arguments: Arguments) -> Program:
    """Run the program."""
    values, stdin = _parted(arguments)
    argv = (extension.binary, *(fill(argument, values) for argument in extension.args))
    spec = ProgramSpec(argv, extension.env or None, dir=extension.directory)
    return Program(spec, stdin)


def _script(extension: Extension, name: str, arguments: Arguments) -> Program:
    """Run program and arguments as a script, which calls itself by the name of the command."""
    values, stdin = _parted(arguments)
    script, variables = fill_script(" ".join(extension.args), values, _VARIABLE)
    argv = (_SHELL, "-c", f"{extension.binary} {script}", name)
    spec = ProgramSpec(argv, extension.env | variables or None, dir=extension.directory)
    return Program(spec, stdin)


def _parted(arguments: Arguments) -> tuple[Arguments, bytes | None]:
    """Tell the values of templates from what is read."""
    values = {name: value for name, value in arguments.items() if name != _STDIN}
    return values, stdin_of(arguments.get(_STDIN))
