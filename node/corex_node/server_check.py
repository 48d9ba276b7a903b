"""Whether the server keeps what is given to it. Pure: looks at an answer of INFO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corex_shared.errors import ConfigError

_OLDEST = (6, 2)


def check_server(info: Mapping[str, Any]) -> list[str]:
    """Look for ways in which a server may lose jobs silently.

    Args:
        info: INFO as redis-py reads it.

    Returns:
        Warnings, each with what to change.

    Raises:
        ConfigError: the server cannot be used.
    """
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
