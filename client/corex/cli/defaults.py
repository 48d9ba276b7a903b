"""Defaults of a profile for the options of commands.

`[profile.NAME.defaults]` is for every command that has such an option, a table in it for one:

::

    [profile.prod.defaults]
    timeout = 60              # --timeout of every command that has one

    [profile.prod.defaults.logs]
    timeout = 600
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec
import typer

from corex.profiles.profile import Profile


def default_map(context: typer.Context, profile: Profile) -> dict[str, dict[str, Any]]:
    """Make the defaults of all commands, as the command line's library takes them.

    Raises:
        ConfigError: there is no such command or option, or the value is none for it.
    """
    commands: Mapping[str, Any] = getattr(context.command, "commands", {})
    options = {name: _options(command) for name, command in commands.items()}
    found: dict[str, dict[str, Any]] = {name: {} for name in commands}
    tables = {key: value for key, value in profile.defaults.items() if isinstance(value, dict)}
    for key, value in profile.defaults.items():
        having = [name for name in commands if key in options[name]]
        if key in tables:
            continue
        if not having:
            raise profile.error(f"defaults.{key}", "no command has such an option")
        for name in having:
            option = options[name][key]
            found[name][option.name] = option.checked(profile, f"defaults.{key}", value)
    for name, table in tables.items():
        if name not in commands:
            raise profile.error(f"defaults.{name}", "there is no such command")
        for key, value in table.items():
            where = f"defaults.{name}.{key}"
            if key not in options[name]:
                raise profile.error(where, f"corex {name} has no such option")
            option = options[name][key]
            found[name][option.name] = option.checked(profile, where, value)
    return found


class _Option:
    """An option of a command.

    Attributes:
        name: of the parameter that takes it.
    """

    def __init__(self, parameter: Any, kind: Any) -> None:
        self.name: str = parameter.name
        self._kind = kind
        # Where it is depends on the library's release.
        declared = getattr(parameter, "type", None)
        self._least = getattr(parameter, "min", getattr(declared, "min", None))

    def checked(self, profile: Profile, where: str, value: Any) -> Any:
        """Return a value as it is wanted.

        Raises:
            ConfigError: it is of another type, or too small.
        """
        try:
            wanted = msgspec.convert(value, self._kind)
        except msgspec.ValidationError as error:
            raise profile.error(where, str(error)) from error
        if self._least is not None and wanted is not None and wanted < self._least:
            raise profile.error(where, f"it must be {self._least:g} or more")
        return wanted


def _options(command: Any) -> dict[str, _Option]:
    """The options of a command by their long names, with _ for -."""
    kinds = get_type_hints(inspect.unwrap(command.callback))
    named: dict[str, _Option] = {}
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.name not in kinds:
            continue  # an argument, or --help
        for text in parameter.opts:
            if text.startswith("--"):
                name = text.removeprefix("--").replace("-", "_")
                named[name] = _Option(parameter, kinds[parameter.name])
    return named
