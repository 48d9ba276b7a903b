"""Settings of a node: defaults, then a file, then the environment, then options.

The file is TOML. Every key may be given in the environment: `main.max_jobs` as
`COREX_NODE_MAX_JOBS`, keys of other tables with the table's name (`COREX_NODE_LIMITS_GRACE`);
lists are separated by commas. A key that is not known, or a value of a wrong type, is an error
that names where it came from, before anything starts.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from corex_shared.codec import DEFAULT_LIMIT
from corex_shared.connection import DEFAULT_URL
from corex_shared.errors import ConfigError
from corex_shared.keys import DEFAULT_NAMESPACE
from corex_shared.models import Identifier
from corex_shared.states import DEFAULT_LOG_LEVELS

PREFIX = "COREX_NODE_"
URL_VARIABLES = ("COREX_NODE_URL", "COREX_URL")

Positive = Annotated[int, Meta(ge=1)]
Size = Annotated[int, Meta(ge=1024)]
Duration = Annotated[float, Meta(ge=0, le=1e9)]
Interval = Annotated[float, Meta(gt=0, le=1e9)]


class Main(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[main]`: who the node is and how much it runs."""

    id: Identifier = field(default_factory=socket.gethostname)
    url: str = DEFAULT_URL
    namespace: Identifier = DEFAULT_NAMESPACE
    groups: list[Identifier] = field(default_factory=list)
    max_jobs: Positive = 200
    include: list[str] = field(default_factory=list)


class LimitsTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[limits]`: bounds, in bytes and seconds.

    Attributes:
        payload: largest command that is read.
        kept_output: last part of each of stdout and stderr that a result holds.
        log: size up to which a job's log is kept.
        held_output: output that waits at most while Redis is away.
        flowing_output: output that waits before jobs are held up.
        waiting: commands that wait for their queue at most.
        rejected: entries of the rejected list.
        grace: between TERM and KILL, unless a command says otherwise.
        linger: how long others that hold an ended program's output are heard.
        drain: how long running jobs may go on after the agent was told to stop.
        deliver: how long results may take to be delivered after that.
        retention: how long results live.
        lease: how long a node that is silent is taken to be there.
        heartbeat: between two renewals of the lease.
    """

    payload: Size = DEFAULT_LIMIT
    kept_output: Size = 128 * 1024
    log: Size = 4 * 1024 * 1024
    held_output: Size = 16 * 1024 * 1024
    flowing_output: Size = 4 * 1024 * 1024
    waiting: Positive = 1000
    rejected: Positive = 1000
    grace: Duration = 5.0
    linger: Duration = 2.0
    drain: Duration = 10.0
    deliver: Duration = 30.0
    retention: Interval = 300.0
    lease: Interval = 15.0
    heartbeat: Interval = 5.0


class Logging(Struct, frozen=True, forbid_unknown_fields=True):
    """Table `[logging]`.

    Attributes:
        levels: levels of job messages that go to the node's log channel.
        format: of the agent's own log: `auto` is `console` on a terminal, else `json`.
        level: of the agent's own log.
    """

    levels: list[Annotated[int, Meta(ge=0, le=255)]] = field(
        default_factory=lambda: sorted(DEFAULT_LOG_LEVELS)
    )
    format: Annotated[str, Meta(pattern=r"^(auto|console|json)\Z")] = "auto"
    level: Annotated[str, Meta(pattern=r"^(debug|info|warning|error)\Z")] = "info"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a node."""

    main: Main = field(default_factory=Main)
    labels: dict[str, str] = field(default_factory=dict)
    limits: LimitsTable = field(default_factory=LimitsTable)
    logging: Logging = field(default_factory=Logging)


_TABLES: dict[str, type[Struct]] = {"main": Main, "limits": LimitsTable, "logging": Logging}
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_FIELD = re.compile(r"unknown field `([^`]*)`")


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
    tree: dict[str, dict[str, Any]] = {}
    if path is not None:
        _merge_file(tree, Path(path))
    variables = _from_environment(environ or {})
    _check(variables, "environment")
    _merge(tree, variables)
    chosen = {table: dict(values) for table, values in (options or {}).items() if values}
    _check(chosen, "options")
    _merge(tree, chosen)
    config = _check(tree, str(path) if path is not None else "settings")
    if config.limits.heartbeat * 2 > config.limits.lease:
        raise ConfigError("settings", "limits.heartbeat", "it must be at most half of limits.lease")
    return config


def _merge_file(tree: dict[str, dict[str, Any]], path: Path) -> None:
    """Merge a file and what it includes."""
    parsed = _read(path)
    config = _check(parsed, str(path))
    _merge(tree, parsed)
    for name in config.main.include:
        for included in _included(path, name):
            part = _read(included)
            if "include" in part.get("main", {}):
                raise ConfigError(str(included), "main.include", "an included file includes none")
            _check(part, str(included))
            _merge(tree, part)


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


def _merge(tree: dict[str, dict[str, Any]], more: Mapping[str, Mapping[str, Any]]) -> None:
    for table, values in more.items():
        tree.setdefault(table, {}).update(values)


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    tree: dict[str, dict[str, Any]] = {}
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
    for table in ("limits", "logging"):
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
        raise ConfigError("environment", variable, _WHERE.sub("", str(error))) from error


def _check(tree: Mapping[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(dict(tree), Config)
    except msgspec.ValidationError as error:
        text = str(error)
        where, unknown = _WHERE.search(text), _FIELD.search(text)
        key = ".".join(part for part in (where and where[1], unknown and unknown[1]) if part)
        reason = "no such setting" if unknown else _WHERE.sub("", text)
        raise ConfigError(source, key, reason) from error
