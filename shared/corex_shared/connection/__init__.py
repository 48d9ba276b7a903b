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
from corex_shared.connection.urls import safe_url

__all__ = [
    "BLOCK_MARGIN",
    "COMMAND_TIMEOUT",
    "CONNECT_TIMEOUT",
    "HEALTH_CHECK",
    "AsyncRedisClient",
    "Endpoint",
    "RedisClient",
    "execute",
    "execute_async",
    "load_scripts",
    "safe_url",
    "server_infos",
    "translate",
    "translated",
]
