"""The way to Redis: URL → clients, scripts, and errors in our own words.

Three uses need three settings. redis-py's defaults (a socket timeout of 5 s that also cuts
blocking commands, ten blind retries that repeat a write whose answer was lost) fit none of them:

* **command**: answers within `COMMAND_TIMEOUT`, no retry. Callers repeat what is harmless to
  repeat, and know when they do.
* **blocking**: waits `block` seconds on the server, so the socket waits longer than that.
* **pubsub**: silent as long as nobody publishes; a health check finds a half-open connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.connection import (
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.backoff import NoBackoff
from redis.retry import Retry

from corex_shared.errors import (
    ConfigError,
    StoreError,
    StoreForbiddenError,
    StoreRefusedError,
    StoreUnavailableError,
)
from corex_shared.scripts import Call, Script, all_scripts

DEFAULT_URL = "redis://127.0.0.1:6379/0"
CONNECT_TIMEOUT = 5.0
"""Seconds to reach the server."""
COMMAND_TIMEOUT = 10.0
"""Seconds within which a command that does not block is answered."""
BLOCK_MARGIN = 5.0
"""Seconds that the socket of a blocking command waits beyond the block."""
HEALTH_CHECK = 15.0
"""Seconds of silence after which a subscription is checked."""

_UNAVAILABLE = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.NoScriptError,  # flushed again between loading and running
    OSError,
)
# Answers of a server that will serve again, which redis-py gives no class of their own.
_UNAVAILABLE_CODES = ("LOADING", "MISCONF", "NOREPLICAS", "BUSY", "MASTERDOWN", "CLUSTERDOWN")
_FORBIDDEN = "The user executing the script can't"
"""How Redis begins to say within a script what is NOPERM outside of one."""


def translate(error: BaseException) -> StoreError:
    """Say an error of redis-py in our words."""
    if isinstance(error, StoreError):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, _UNAVAILABLE) or text.startswith(_UNAVAILABLE_CODES):
        return StoreUnavailableError(text)
    if isinstance(error, redis.exceptions.NoPermissionError) or text.startswith(_FORBIDDEN):
        return StoreForbiddenError(text)
    return StoreRefusedError(text)


class translated:  # noqa: N801 - used as a with-statement, like contextlib.suppress
    """Context in which errors of redis-py are raised as `StoreError`."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Translate what passes.

        Raises:
            StoreUnavailableError: Redis cannot be reached or is not ready.
            StoreRefusedError: it answered with an error.
        """
        if isinstance(error, redis.exceptions.RedisError | OSError):
            raise translate(error) from error


class _Packing:
    """Packs commands in C, as redis-py's blocking connections do and its asyncio ones do not.

    A batch of results has thousands of arguments; packing them one by one in Python took more
    time than all else that is done for a command.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Write one command in Redis's protocol."""
        return self.pack_commands([args])

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Write commands in Redis's protocol; a name of two words is two arguments."""
        packed = []
        for name, *arguments in commands:
            words = name.split() if isinstance(name, str) else [name]
            packed.append(hiredis.pack_command((*words, *arguments)))
        return [b"".join(packed)]


class _Connection(_Packing, Connection):
    """TCP."""


class _SSLConnection(_Packing, SSLConnection):
    """TLS."""


class _UnixConnection(_Packing, UnixDomainSocketConnection):
    """Unix socket."""


_PACKED: dict[type, type] = {
    Connection: _Connection,
    SSLConnection: _SSLConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


class Endpoint:
    """One Redis, by its URL, and the clients that reach it.

    Standalone servers (`redis://`, `unix://`) and TLS (`rediss://`) are served here.
    """

    def __init__(self, url: str) -> None:
        """Check the URL; nothing is opened yet.

        Raises:
            ConfigError: the scheme or the form of the URL is not known.
        """
        self.url = url
        try:
            redis.asyncio.connection.parse_url(url)
        except ValueError as error:
            raise ConfigError("url", "", f"{safe_url(url)}: {error}") from error

    @staticmethod
    def _settings(timeout: float | None) -> dict[str, Any]:
        return {
            "socket_timeout": timeout,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "protocol": 2,
            "socket_read_size": 262144,
        }

    def command(self) -> redis.Redis:
        """Make a client for commands that do not block."""
        return redis.Redis.from_url(
            self.url, retry=Retry(NoBackoff(), 0), **self._settings(COMMAND_TIMEOUT)
        )

    def blocking(self, block: float) -> redis.Redis:
        """Make a client for commands that block for up to `block` seconds."""
        return redis.Redis.from_url(
            self.url, retry=Retry(NoBackoff(), 0), **self._settings(block + BLOCK_MARGIN)
        )

    def pubsub(self) -> redis.Redis:
        """Make a client for subscriptions."""
        return redis.Redis.from_url(
            self.url,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=HEALTH_CHECK,
            **self._settings(COMMAND_TIMEOUT),
        )

    def async_command(self) -> redis.asyncio.Redis:
        """Make an asyncio client for commands that do not block."""
        return self._async(COMMAND_TIMEOUT)

    def async_blocking(self, block: float) -> redis.asyncio.Redis:
        """Make an asyncio client for commands that block for up to `block` seconds."""
        return self._async(block + BLOCK_MARGIN)

    def async_pubsub(self) -> redis.asyncio.Redis:
        """Make an asyncio client for subscriptions."""
        return self._async(COMMAND_TIMEOUT, health_check_interval=HEALTH_CHECK)

    def _async(self, timeout: float, **more: Any) -> redis.asyncio.Redis:
        options: dict[str, Any] = dict(redis.asyncio.connection.parse_url(self.url))
        options["connection_class"] = _PACKED[options.get("connection_class", Connection)]
        options["retry"] = redis.asyncio.retry.Retry(NoBackoff(), 0)
        pool = redis.asyncio.ConnectionPool(**options, **self._settings(timeout), **more)
        return redis.asyncio.Redis.from_pool(pool)


def safe_url(url: str) -> str:
    """Write a URL for people to see: without its password, wherever that is."""
    url = re.sub(r"(//[^/:@]*:)[^/]*@", r"\1***@", url)
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", url)


def execute(
    client: redis.Redis, calls: Iterable[Call], *, keep_refusals: bool = False
) -> list[Any]:
    """Run commands in one round trip, loading scripts that the server does not know.

    Args:
        client: from `Endpoint`.
        calls: the commands.
        keep_refusals: whether a command that is refused has a `StoreRefusedError` in its place
            among the answers, instead of raising it.

    Returns:
        The answers in order, an error among them raised.

    Raises:
        StoreUnavailableError: Redis cannot be reached; some or all may have been done.
        StoreRefusedError: one of them was answered with an error.
    """
    calls = list(calls)
    with translated():
        replies = _pipeline(client, calls).execute(raise_on_error=False)
        if _misses_script(replies):
            loads = _loads_of(calls)
            replies = _pipeline(client, [*loads, *calls]).execute(raise_on_error=False)
            replies = replies[len(loads) :]
        return _checked(replies, keep_refusals)


async def execute_async(
    client: redis.asyncio.Redis, calls: Iterable[Call], *, keep_refusals: bool = False
) -> list[Any]:
    """Run commands in one round trip: `execute` for asyncio."""
    calls = list(calls)
    with translated():
        replies = await _pipeline(client, calls).execute(raise_on_error=False)
        if _misses_script(replies):
            loads = _loads_of(calls)
            replies = await _pipeline(client, [*loads, *calls]).execute(raise_on_error=False)
            replies = replies[len(loads) :]
        return _checked(replies, keep_refusals)


async def load_scripts(client: redis.asyncio.Redis) -> None:
    """Make all scripts known to the server.

    Raises:
        StoreError: Redis cannot be reached or refuses scripts.
    """
    with translated():
        await _pipeline(client, [_load(script) for script in all_scripts()]).execute()


def _loads_of(calls: list[Call]) -> list[Call]:
    """Make the commands that load what some calls need: sent with them, nothing comes between."""
    wanted = {call[1] for call in calls if call[0] == "EVALSHA"}
    return [_load(script) for script in all_scripts() if script.sha in wanted]


def _load(script: Script) -> Call:
    return ("SCRIPT LOAD", script.text)


def _pipeline(client: Any, calls: list[Call]) -> Any:
    pipeline = client.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command(*call)
    return pipeline


def _misses_script(replies: list[Any]) -> bool:
    return any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies)


def _checked(replies: list[Any], keep_refusals: bool) -> list[Any]:
    for at, reply in enumerate(replies):
        if isinstance(reply, redis.exceptions.RedisError):
            error = translate(reply)
            if not keep_refusals or isinstance(error, StoreUnavailableError):
                raise error from reply
            replies[at] = error
    return replies
