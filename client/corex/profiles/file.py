"""The file of profiles: where it is, and what is wrong with it.

::

    default = "dev"

    [profile.dev]
    url = "redis://127.0.0.1:6379/0"

    [profile.prod]
    url = "rediss://ops@redis.example:6380/0"
    namespace = "prod"
    ssl_ca_certs = "ca.pem"
    password_command = ["pass", "show", "redis/ops"]

    [profile.prod.defaults]
    timeout = 60
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from corex.profiles.profile import Profile, ProfileTable, open_to_others
from corex_shared.connection import safe_url
from corex_shared.errors import ConfigError
from corex_shared.identifiers import is_valid_id

CONFIG_VARIABLE = "COREX_CONFIG"
PROFILE_VARIABLE = "COREX_PROFILE"

_FIELD = re.compile(r"unknown field `([^`]*)`")
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A file that was read and checked.

    Attributes:
        path: where it is.
        default: name of the profile that is used when none is named, "" for none.
        profiles: what it has, by name.
        warnings: what is not wrong but unwise.
    """

    path: Path
    default: str
    profiles: Mapping[str, Profile]
    warnings: tuple[str, ...] = ()

    def choose(self, name: str, source: str) -> Profile:
        """Find a profile.

        Args:
            name: its name.
            source: option, variable or file that names it, for the error.

        Raises:
            ConfigError: there is none of that name; lists those that there are.
        """
        if name not in self.profiles:
            there = ", ".join(sorted(self.profiles)) or "none"
            reason = f"there is no profile {name!r} in {self.path}; there are: {there}"
            raise ConfigError(source, "", reason)
        return self.profiles[name]


def config_path() -> Path:
    """Say where the file is: COREX_CONFIG, else corex/config.toml where the user's settings are."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    # The standard for it: a path that is not absolute is to be passed over.
    base = Path(folder) if os.path.isabs(folder) else Path("~/.config").expanduser()
    return base / "corex" / "config.toml"


def read_profiles(path: Path, *, needed: bool) -> ProfileFile:
    """Read and check the file, all of it.

    Args:
        path: where it is.
        needed: whether it is an error that there is none.

    Raises:
        ConfigError: it cannot be read, or something in it cannot be used; names file and key.
    """
    try:
        # One file that is looked at is the one that is read, whatever is put in its place.
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            tree = tomllib.loads(file.read().decode("utf-8"))
    except FileNotFoundError as error:
        if needed:
            raise ConfigError(str(path), "", "there is no such file") from error
        return ProfileFile(path, "", {})
    except OSError as error:
        raise ConfigError(str(path), "", f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:  # the cause would show what is in it
        raise ConfigError(str(path), "", "it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"it is not TOML: {error}") from error
    return _checked(path, tree, mode)


def _checked(path: Path, tree: Mapping[str, Any], mode: int) -> ProfileFile:
    for key in tree:
        if key not in {"default", "profile"}:
            raise ConfigError(str(path), key, "no such setting")
    default, tables = tree.get("default", ""), tree.get("profile", {})
    if not isinstance(default, str):
        raise ConfigError(str(path), "default", "the name of a profile is wanted")
    if not isinstance(tables, dict):
        raise ConfigError(str(path), "profile", "tables are wanted: [profile.NAME]")
    profiles = {name: _profile(path, name, table) for name, table in tables.items()}
    file = ProfileFile(path, default, profiles, _warnings(path, profiles, mode))
    if default:
        try:
            file.choose(default, f"{path}: default")
        except ConfigError as error:
            raise ConfigError(str(path), "default", error.reason) from error
    return file


def _profile(path: Path, name: str, table: Any) -> Profile:
    key = f"profile.{name}"
    if not is_valid_id(name):
        raise ConfigError(str(path), key, "a name has letters, digits and ._:- only")
    if not isinstance(table, dict):
        raise ConfigError(str(path), key, "a table is wanted: [profile.NAME]")
    try:
        read = msgspec.convert(table, ProfileTable)
    except msgspec.ValidationError as error:
        text = str(error)
        unknown, where = _FIELD.search(text), _WHERE.search(text)
        inner = unknown[1] if unknown else where[1] if where else ""
        reason = "no such setting" if unknown else _WHERE.sub("", text)
        raise ConfigError(str(path), f"{key}.{inner}".rstrip("."), reason) from error
    profile = Profile(name, path, read)
    if read.namespace is not None and not is_valid_id(read.namespace):
        raise profile.error("namespace", f"{read.namespace!r} is not an identifier")
    profile.check()
    return profile


def _warnings(path: Path, profiles: Mapping[str, Profile], mode: int) -> tuple[str, ...]:
    if not open_to_others(mode):
        return ()
    for profile in profiles.values():
        url = profile.table.url or ""
        if safe_url(url) != url:
            key = profile.key("url")
            return (f"{path}: {key}: holds a password, and others may read the file: chmod 600",)
    return ()
