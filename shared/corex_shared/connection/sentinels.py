"""Sentinels: whom they name as master, and what is wrong with those that do not answer."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio.sentinel
import redis.sentinel
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as LostError

from corex_shared.connection.urls import Address


class _Answers:
    """What Sentinels say of a service, one after the other, until one names a master."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._refused: Exception | None = None
        self._failed: list[str] = []

    def failed(self, sentinel: Any, error: Exception) -> None:
        """Take note of one that does not answer, or may not be asked."""
        place = sentinel.connection_pool.connection_kwargs
        self._failed.append(f"{place['host']}:{place['port']}: {error}")
        if isinstance(error, ResponseError | AuthenticationError):
            self._refused = error

    def none(self) -> Exception:
        """Make the error when none has named a master."""
        if self._refused is not None:
            return self._refused
        what = f"no Sentinel names a master of {self._service!r}"
        return redis.sentinel.MasterNotFoundError("; ".join([what, *self._failed]))


def _address(found: Any) -> Address:
    host, port = found
    return (host.decode() if isinstance(host, bytes) else host, int(port))


_ASKING_FAILED = (ResponseError, LostError, redis.TimeoutError)


class Sentinels(redis.sentinel.Sentinel):
    """The Sentinels of a URL."""

    def discover_master(self, service_name: str) -> Address:
        """Ask them in turn; redis-py would not say what is wrong with those that fail.

        Raises:
            MasterNotFoundError: none knows one.
            ResponseError, AuthenticationError: one refuses to be asked, and no other knows one.
        """
        answers = _Answers(service_name)
        for sentinel in list(self.sentinels):
            try:
                found = sentinel.sentinel_get_master_addr_by_name(service_name)
            except _ASKING_FAILED as error:
                answers.failed(sentinel, error)
            else:
                if found:
                    return _address(found)
        raise answers.none()


class AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """The Sentinels of a URL."""

    async def discover_master(self, service_name: str) -> Address:
        """Ask them in turn; as `Sentinels.discover_master`."""
        answers = _Answers(service_name)
        for sentinel in list(self.sentinels):
            try:
                found = await sentinel.sentinel_get_master_addr_by_name(service_name)
            except _ASKING_FAILED as error:
                answers.failed(sentinel, error)
            else:
                if found:
                    return _address(found)
        raise answers.none()


def ask_another_first(manager: Any) -> None:
    """Have a Sentinel that was wrong asked last from now on."""
    manager.sentinels = [*manager.sentinels[1:], manager.sentinels[0]]
