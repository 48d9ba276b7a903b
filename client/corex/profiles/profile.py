"""One profile, and the URL that it makes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from corex.profiles.password import PASSWORD_KEYS, find_password
from corex_shared import tls
from corex_shared.connection import Location, parse_url, with_options, with_password
from corex_shared.errors import ConfigError

_TLS_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = (
    *_TLS_FILES,
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_min_version",
)


def open_to_others(mode: int) -> bool:
    """Whether a file may be read by others than its owner, as far as the system tells."""
    return os.name == "posix" and bool(mode & (stat.S_IRGRP | stat.S_IROTH))


class ProfileTable(Struct, frozen=True, forbid_unknown_fields=True):
    """What a profile says. Its `ssl_…` are those of a URL.

    Attributes:
        url: where Redis is, with the user's name; its password may stand elsewhere.
        namespace: the fleet's.
        password_file: file whose text, without its last line break, is the password.
        password_command: program and arguments whose output is the password; no shell runs it.
        password_env: environment variable that holds the password.
        defaults: of the options of commands, see corex.cli.defaults.
    """

    url: str | None = None
    namespace: str | None = None
    password_file: str | None = None
    password_command: list[str] | None = None
    password_env: str | None = None
    ssl_ca_certs: str | None = None
    ssl_ca_path: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_cert_reqs: str | None = None
    ssl_check_hostname: bool | None = None
    ssl_ciphers: str | None = None
    ssl_min_version: str | None = None
    defaults: dict[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return "<ProfileTable>"  # its url may hold a password


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that was chosen.

    Attributes:
        name: its name.
        file: where it stands; paths in it begin there.
        table: what it says.
        explicit: whether it was named by an argument or option, not by the environment or the
            file's `default`.
    """

    name: str
    file: Path
    table: ProfileTable
    explicit: bool = False

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Defaults of the options of commands."""
        return self.table.defaults

    def key(self, name: str) -> str:
        """Name one of its settings, as errors do."""
        return f"profile.{self.name}.{name}"

    def error(self, name: str, reason: str) -> ConfigError:
        """Make the error of one of its settings."""
        return ConfigError(str(self.file), self.key(name), reason)

    def check(self) -> None:
        """See that what it says fits together; no other file is looked at.

        Raises:
            ConfigError: it does not.
        """
        table = self.table
        given = [name for name in PASSWORD_KEYS if getattr(table, name) is not None]
        if len(given) > 1:
            raise self.error(given[1], f"there is a {given[0]} already: one is enough")
        options = self._options()
        if table.url is None:
            for name in (*given, *options):
                raise self.error(name, "it needs a url beside it")
            return
        if given and self._location(table.url).options.get("password"):
            raise self.error(given[0], "the url has a password already")
        self._location(with_options(table.url, options))

    def connect_url(self) -> str | None:
        """Make the whole URL, with the password; None if the profile has none.

        Runs its `password_command`, which takes its time.

        Raises:
            ConfigError: a file or the password cannot be had.
        """
        if self.table.url is None:
            return None
        url = with_options(self.table.url, self._options())
        try:
            tls.check_files(self._location(url).options)
        except ConfigError as error:
            raise self.error(error.key, error.reason) from error
        password = find_password(self)
        return url if password is None else with_password(url, password)

    def warnings(self) -> list[str]:
        """Say what is unwise about the file of its password."""
        if self.table.password_file is None:
            return []
        path = self.path(self.table.password_file)
        try:
            mode = path.stat().st_mode
        except OSError:  # told when it is read
            return []
        if not open_to_others(mode):
            return []
        where = f"{self.file}: {self.key('password_file')}"
        return [f"{where}: others may read {path}, which is the password: chmod 600"]

    def path(self, text: str) -> Path:
        """Make a path of one in the file: `~` is the home, a relative one begins at the file."""
        return self.file.parent / Path(text).expanduser()

    def _options(self) -> dict[str, str]:
        options: dict[str, str] = {}
        for name in _TLS_OPTIONS:
            value = getattr(self.table, name)
            if value is None:
                continue
            if isinstance(value, bool):
                value = "true" if value else "false"
            options[name] = str(self.path(value)) if name in _TLS_FILES else value
        return options

    def _location(self, url: str) -> Location:
        try:
            return parse_url(url)
        except ConfigError as error:
            raise self.error("url", error.reason) from error
