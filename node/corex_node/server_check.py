"""Whether the server keeps what is given to it. Pure: looks at an answer of INFO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corex_shared.errors import ConfigError

_OLDEST = (6, 2)


def check_servers(infos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Look at all servers that hold data: the only one, or the masters of a Cluster.

    Returns:
        Warnings, each once; of several servers with the ports of those that it is about.

    Raises:
        ConfigError: one of them cannot be used.
    """
    ports: dict[str, list[str]] = {}
    for info in infos:
        for warning in check_server(info):
            ports.setdefault(warning, []).append(str(info.get("tcp_port", "?")))
    if len(infos) == 1:
        return list(ports)
    return [f"{warning} (ports {', '.join(found)})" for warning, found in ports.items()]


def check_server(info: Mapping[str, Any]) -> list[str]:
    """Look for ways in which a server may lose jobs silently.

    Args:
        info: INFO as redis-py reads it.

    Returns:
        Warnings, each with what to change.

    Raises:
        ConfigError: the server cannot be used.
    """
    if info.get("redis_mode") == "sentinel":
        reason = "a Sentinel answers there: redis+sentinel://host:port/SERVICE is its way"
        raise ConfigError("redis", "url", reason)
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        raise ConfigError("redis", "redis_version", f"{version}: 6.2 or newer is needed")
    warnings = []
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        text = f"{policy}: the server may drop jobs and leases; set it to noeviction"
        if int(info.get("maxmemory", 0)):
            raise ConfigError("redis", "maxmemory-policy", text)
        warnings.append(f"maxmemory-policy {text} before you set maxmemory")
    if not int(info.get("aof_enabled", 0)):
        warnings.append(
            "appendonly is off: a restart of the server may lose commands and results; "
            "set appendonly to yes"
        )
    return warnings
