"""Settings of a node: defaults, then a file, then the environment, then options.

The file is TOML. Every key may be given in the environment: `main.max_jobs` as
`COREX_NODE_MAX_JOBS`, keys of other tables with the table's name (`COREX_NODE_LIMITS_GRACE`);
lists are separated by commas. Labels and extensions, which have names of the user's own, have no
variables. A key that is not known, or a value of a wrong type, is an error that names where it came
from, before anything starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from corex_node.config_tables import (
    NAME_RULE,
    RULES,
    Config,
    EventsTable,
    Extension,
    LimitsTable,
    Logging,
    Main,
    Security,
    Text,
    Variable,
)
from corex_shared.errors import ConfigError
from corex_shared.identifiers import is_valid_id

__all__ = ["Config", "Extension", "load"]

PREFIX = "COREX_NODE_"
URL_VARIABLES = ("COREX_NODE_URL", "COREX_URL")

T = TypeVar("T")

Tree = dict[str, dict[str, Any]]
_TABLES: dict[str, type[Struct]] = {
    "main": Main,
    "limits": LimitsTable,
    "logging": Logging,
    "events": EventsTable,
    "security": Security,
}
_PLAIN_URL = re.compile(r"redis://[A-Za-z0-9][A-Za-z0-9.-]*(:[1-9][0-9]{0,3})?(/[0-9]{1,2})?\Z")
"""A URL in which nothing can be wrong."""
_WHERE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_FIELD = re.compile(r"(missing required|unknown) field `([^`]*)`")


class _Sources:
    """Tables as they come together.

    Attributes:
        tree: table → key → value.
    """

    def __init__(self) -> None:
        self.tree: Tree = {}
        self._sources: dict[str, str] = {}

    def merge(self, more: Mapping[str, Mapping[str, Any]], source: str) -> None:
        """Put values over those that came before."""
        for table, values in more.items():
            self.tree.setdefault(table, {}).update(values)
            self._sources.update((f"{table}.{key}", source) for key in values)

    def source(self, *keys: str) -> str:
        """Tell where a value came from: that of the first of some keys that is not a default."""
        return next((self._sources[key] for key in keys if key in self._sources), "settings")


def load(
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """Put the settings together.

    Args:
        path: of the TOML file, None for none.
        environ: environment variables.
        options: table → key → value, which win over all others.

    Raises:
        ConfigError: something cannot be used; names the source and the key.
    """
    sources = _Sources()
    if path is not None:
        _merge_file(sources, Path(path))
    variables = _from_environment(environ or {})
    _check(variables, "environment")
    sources.merge(variables, "environment")
    chosen = {table: dict(values) for table, values in (options or {}).items() if values}
    _check(chosen, "options")
    sources.merge(chosen, "options")
    config = _check(sources.tree, str(path) if path is not None else "settings")
    _check_together(config.limits, sources)
    _check_url(config.main.url, sources)
    return config


def _merge_file(sources: _Sources, path: Path) -> None:
    """Merge a file and what it includes."""
    parsed = _read(path)
    config = _check(parsed, str(path))
    sources.merge(parsed, str(path))
    for name in config.main.include:
        for included in _included(path, name):
            part = _read(included)
            if "include" in _map(part.get("main")):
                raise ConfigError(str(included), "main.include", "an included file includes none")
            _check(part, str(included))
            _refuse_second(part, str(included), sources)
            sources.merge(part, str(included))


def _refuse_second(part: Tree, source: str, sources: _Sources) -> None:
    """Refuse a second extension of a name: which of both is meant, nobody can tell."""
    for name in part.get("extension", {}):
        if name in sources.tree.get("extension", {}):
            key = f"extension.{name}"
            raise ConfigError(source, key, f"it is defined in {sources.source(key)} already")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "", f"it cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"not TOML: {error}") from error


def _included(path: Path, name: str) -> list[Path]:
    """Find what an include names: a file, or the `*.toml` files of a folder in order."""
    target = path.parent / name
    if target.is_dir():
        return sorted(target.glob("*.toml"))
    if not target.exists():
        raise ConfigError(str(path), "main.include", f"{target}: no such file or folder")
    return [target]


def _from_environment(environ: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for variable in reversed(URL_VARIABLES):
        if variable in environ:
            tree.setdefault("main", {})["url"] = environ[variable]
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in URL_VARIABLES:
            table, key = _place(variable)
            tree.setdefault(table, {})[key] = _value(_TABLES[table], key, text, variable)
    return tree


def _place(variable: str) -> tuple[str, str]:
    """Find the table and key of a variable."""
    name = variable.removeprefix(PREFIX).lower()
    for table in ("limits", "logging", "events", "security"):
        if name.startswith(f"{table}_"):
            return table, name.removeprefix(f"{table}_")
    return "main", name


def _value(table: type[Struct], key: str, text: str, variable: str) -> Any:
    """Read a variable as its key's type wants it."""
    types = {item.encode_name: item.type for item in msgspec.structs.fields(table)}
    if key not in types:
        raise ConfigError("environment", variable, "no such setting")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    value = parts if getattr(types[key], "__origin__", None) is list else text
    try:
        return msgspec.convert(value, types[key], strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError("environment", variable, _reason(str(error))) from error


def _check_together(limits: LimitsTable, sources: _Sources) -> None:
    """Check values that must fit each other."""
    if limits.heartbeat * 2 > limits.lease:
        key, other = "limits.heartbeat", "limits.lease"
        reason = f"it must be at most half of {other}, which is {limits.lease:g} s"
        raise ConfigError(sources.source(key, other), key, reason)
    if limits.reap and limits.reap < limits.heartbeat * 2:
        key, other = "limits.reap", "limits.heartbeat"
        reason = f"it must be 0, or at least twice {other}, which is {limits.heartbeat:g} s"
        raise ConfigError(sources.source(key, other), key, reason)
    if limits.restart_cap < limits.restart_first:
        key, other = "limits.restart_cap", "limits.restart_first"
        reason = f"it must be at least {other}, which is {limits.restart_first:g} s"
        raise ConfigError(sources.source(key, other), key, reason)


def _check_url(url: str, sources: _Sources) -> None:
    """Check the URL, and the files that it names; nothing is opened."""
    if _PLAIN_URL.match(url):
        return
    # It takes longer to load than all else of `corex node run`, which the agent then replaces.
    from corex_shared.connection import Endpoint

    try:
        Endpoint(url)
    except ConfigError as error:
        reason = f"{error.key}: {error.reason}" if error.key else error.reason  # one of its options
        raise ConfigError(sources.source("main.url"), "main.url", reason) from error


def _check(tree: Mapping[str, Any], source: str) -> Config:
    """Check all of one source.

    Maps are checked entry by entry, because of these msgspec names but the map.
    """
    for name, value in _map(tree.get("labels")).items():
        _convert(value, str, source, f"labels.{name}")
    for name, value in _map(tree.get("extension")).items():
        _check_extension(name, value, source)
    return _convert(dict(tree), Config, source, "")


def _check_extension(name: str, value: object, source: str) -> None:
    key = f"extension.{name}"
    if not is_valid_id(name):
        raise ConfigError(source, key, f"a command cannot be named so: {NAME_RULE}")
    table = _map(value)
    for inner, below in table.items():
        if isinstance(below, dict) and inner not in Extension.__struct_fields__:
            reason = f'a name with a dot stands in quotes: [extension."{name}.{inner}"]'
            raise ConfigError(source, f"{key}.{inner}", reason)
    for variable, text in _map(table.get("env")).items():
        _convert({variable: text}, dict[Variable, Text], source, f"{key}.env.{variable}")
    _convert(value, Extension, source, key)


def _map(value: object) -> dict[str, Any]:
    """The value if it is a map; any other is found wrong elsewhere."""
    return value if isinstance(value, dict) else {}


def _convert(value: object, kind: type[T], source: str, key: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        where, name = _WHERE.search(text), _FIELD.search(text)
        parts = (key, where and where[1].removeprefix("[...]"), name and name[2])
        raise ConfigError(source, ".".join(filter(None, parts)), _reason(text)) from error


def _reason(text: str) -> str:
    """Say what msgspec says in words that a person can act on."""
    if name := _FIELD.search(text):
        return "no such setting" if name[1] == "unknown" else "it is missing"
    for pattern, rule in RULES.items():
        if f"matching regex {pattern!r}" in text:
            return rule
    return _WHERE.sub("", text)
