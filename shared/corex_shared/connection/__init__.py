"""The way to Redis: URL → clients, commands, scripts, and errors in our own words."""

from corex_shared.connection.answers import translate, translated
from corex_shared.connection.endpoint import (
    BLOCK_MARGIN,
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    HEALTH_CHECK,
    AsyncRedisClient,
    Endpoint,
    RedisClient,
)
from corex_shared.connection.execution import (
    execute,
    execute_async,
    load_scripts,
    server_infos,
)
from corex_shared.connection.urls import (
    Location,
    safe_url,
    with_options,
    with_password,
)
from corex_shared.connection.urls import parse as parse_url

__all__ = [
    "BLOCK_MARGIN",
    "COMMAND_TIMEOUT",
    "CONNECT_TIMEOUT",
    "HEALTH_CHECK",
    "AsyncRedisClient",
    "Endpoint",
    "Location",
    "RedisClient",
    "execute",
    "execute_async",
    "load_scripts",
    "parse_url",
    "safe_url",
    "server_infos",
    "translate",
    "translated",
    "with_options",
    "with_password",
]
