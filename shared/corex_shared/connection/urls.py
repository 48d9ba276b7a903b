"""URLs of Redis: what they say, and what is wrong with them. Pure.

::

    redis://[[user]:password@]host[:port][/db]                          one server
    unix://[[user]:password@]/path[?db=0]                               by its Unix socket
    redis+sentinel://[[user]:password@]host[:port],…/service[/db]       a master, by its Sentinels
    redis+cluster://[[user]:password@]host[:port],…                     a Cluster, by some nodes
    memory://name                                                       of this process, for tests

`rediss` in place of `redis` means TLS. Options follow a `?`, joined by `&`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import redis.asyncio.connection

from corex_shared.connection import memory
from corex_shared.errors import ConfigError

Address = tuple[str, int]
"""Host and port."""


class Kind(Enum):
    """How the server that has a key is found."""

    SERVER = "redis"
    SOCKET = "unix"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"
    MEMORY = "memory"  # of this process, for tests


_PORTS = {Kind.SERVER: 6379, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}
_OPTIONS = frozenset(
    {"db", "username", "password", "client_name", "max_connections", "socket_keepalive"}
)
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}
_TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_exclude_verify_flags",
        "ssl_include_verify_flags",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    }
)
_SCHEMES = "redis://, unix://, redis+sentinel://, redis+cluster://, and rediss… for TLS"


@dataclass(frozen=True, slots=True)
class Location:
    """What a URL says.

    Attributes:
        kind: how the server is found.
        tls: whether connections are encrypted.
        hosts: servers, Sentinels, or nodes of a Cluster; none for a Unix socket.
        service: what Sentinels call the master.
        options: of each connection, as redis-py names them: db, username, password, path, ssl_….
        sentinel: username and password for the Sentinels themselves.
    """

    kind: Kind
    tls: bool = False
    hosts: tuple[Address, ...] = ()
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse(url: str) -> Location:
    """Read a URL.

    Raises:
        ConfigError: it cannot be used; says why, without its password.
    """
    try:
        return _parse(url)
    except ValueError as error:
        raise ConfigError("url", "", f"{safe_url(url)}: {error}") from error


def _parse(url: str) -> Location:
    scheme, mark, rest = url.partition("://")
    tls = scheme.startswith("rediss")
    names = {kind.value: kind for kind in Kind}
    kind = names.get(f"redis{scheme.removeprefix('rediss')}" if tls else scheme)
    if not mark or kind is None:
        raise ValueError(f"it must begin with one of {_SCHEMES}")
    if "#" in rest:
        raise ValueError("a # within it must be written %23")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    user, _, places = authority.rpartition("@")
    options, sentinel = _options(query, kind, tls)
    options = {**options, **_user(user)}
    if kind is Kind.MEMORY:
        memory.find(rest)
        return Location(kind, service=rest)
    if kind is Kind.SOCKET:
        if places or not path:
            raise ValueError("the path of the socket must follow unix:///")
        return Location(kind, options={**options, "path": unquote(slash + path)})
    hosts = tuple(_host(place, kind) for place in places.split(","))
    if kind is Kind.SERVER and len(hosts) > 1:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
    service, db = "", path.rstrip("/")
    if kind is Kind.SENTINEL:
        service, _, db = db.partition("/")
        if not service:
            raise ValueError("the name of the service is missing: redis+sentinel://host:port/NAME")
    if kind is Kind.CLUSTER and (db or "db" in options):
        raise ValueError("a Cluster has no databases: nothing may follow its hosts")
    if db and "db" not in options:
        options["db"] = _db(db)
    return Location(kind, tls, hosts, unquote(service), options, sentinel)


def _user(text: str) -> dict[str, str]:
    name, _, password = text.partition(":")
    named = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in named.items() if value}


def _host(place: str, kind: Kind) -> Address:
    """Read `host:port`; an IPv6 address is in brackets.

    Values are not shown in errors: after a mistake they may be parts of a password.
    """
    found = re.fullmatch(r"(\[[^\[\]]+\]|[^:\[\]]*)(?::(.*))?", place)
    if found is None:
        raise ValueError("a host must be host:port, an IPv6 address [address]:port")
    host, port = found.groups()
    if not host and kind is not Kind.SERVER:
        raise ValueError("a host is missing")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("a port must be a number from 1 to 65535")
    return unquote(host).strip("[]") or "localhost", int(port) if port else _PORTS[kind]


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the database, at the end of its path, must be a number")
    return int(text)


def _options(query: str, kind: Kind, tls: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the options: those of connections, typed by redis-py, and those for Sentinels."""
    sentinel: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _SENTINEL_OPTIONS and kind is Kind.SENTINEL:
            sentinel[_SENTINEL_OPTIONS[name]] = value
        elif name in _TLS_OPTIONS and not tls:
            raise ValueError(f"{name} needs TLS: a scheme that begins with rediss")
        elif name not in _OPTIONS | _TLS_OPTIONS:
            raise ValueError(f"there is no option {name}")
    typed: dict[str, Any] = dict(redis.asyncio.connection.parse_url(f"redis://?{query}"))
    for name in _SENTINEL_OPTIONS:
        typed.pop(name, None)
    _check_values(typed)
    return typed, sentinel


def _check_values(options: Mapping[str, Any]) -> None:
    """Check what redis-py looks at only when a client or a connection is made."""
    for name, least in (("db", 0), ("max_connections", 1)):
        if name in options and options[name] < least:
            raise ValueError(f"{name} must be at least {least}")
    if options.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        raise ValueError("ssl_cert_reqs must be none, optional or required")


def with_password(url: str, password: str) -> str:
    """Put a password into a URL that has none."""
    scheme, mark, rest = url.partition("://")
    ends = [at for at in map(rest.find, "/?") if at >= 0]
    authority = rest[: min(ends)] if ends else rest
    user, at, places = authority.rpartition("@")
    user = user.removesuffix(":") if at else ""
    return f"{scheme}{mark}{user}:{quote(password, safe='')}@{places}{rest[len(authority) :]}"


def with_options(url: str, options: Mapping[str, str]) -> str:
    """Add options to a URL."""
    if not options:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"


def safe_url(url: str) -> str:
    """Write a URL for people to see: without passwords, wherever they are, and paths of keys.

    A password in which a special character was not encoded is hidden too, at the cost of more.
    """
    url = re.sub(r"([?&])([^=&#]*)=([^&#]*)", _safe_option, url)
    if re.match(r"[^:]*://[^/:@]*:[^/?#]*@", url):
        return re.sub(r"(//[^/:@]*:)[^/?#]*@", r"\1***@", url, count=1)
    return re.sub(r"(//[^/:@]*:).*@", r"\1***@", url, count=1)


def _safe_option(option: re.Match[str]) -> str:
    """Hide the value of an option; also of one whose name is misspelled, as errors show it."""
    mark, name, value = option.groups()
    is_secret = re.search("pass|pwd|secret|keyfile", unquote(name), re.IGNORECASE)
    return f"{mark}{name}={'***' if is_secret else value}"
