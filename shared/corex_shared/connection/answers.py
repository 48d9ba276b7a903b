"""Errors of redis-py, and of servers, in our words.

Every answer that is an error has one of two meanings. *Unavailable*: the server, or another in its
place, will serve again, so whoever may repeat what was asked repeats it. *Refused*: it said no and
would again. docs/internals.md has the table.
"""

from __future__ import annotations

import re
from types import TracebackType

import redis

from corex_shared.errors import (
    CredentialsError,
    StoreError,
    StoreForbiddenError,
    StoreRefusedError,
    StoreUnavailableError,
)

_CODES: dict[type[Exception], str] = {
    redis.exceptions.NoScriptError: "NOSCRIPT",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.MasterDownError: "MASTERDOWN",  # before its parent
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.TryAgainError: "TRYAGAIN",
    redis.exceptions.MovedError: "MOVED",  # before its parent
    redis.exceptions.AskError: "ASK",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.AuthenticationWrongNumberOfArgsError: "WRONGPASS",
    redis.exceptions.AuthenticationError: "WRONGPASS",  # and NOAUTH
    redis.exceptions.AuthorizationError: "WRONGPASS",
}
"""What redis-py cuts off an answer for which it has a class of its own."""

_NOT_NOW = frozenset(
    {
        "NOSCRIPT",  # flushed again between loading and running
        "READONLY",  # a master no more
        "LOADING",  # starts
        "CLUSTERDOWN",
        "MASTERDOWN",
        "OOM",
        "MISCONF",  # cannot write to its disk
        "NOREPLICAS",  # has fewer than min-replicas-to-write
        "BUSY",  # with a script
        "TRYAGAIN",  # keys of one slot are on two masters while it moves
        "UNBLOCKED",  # became a replica while a command was blocked
    }
)
NO_MASTER = frozenset({"READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"})
"""Answers after which the master may be somewhere else."""

_OF_A_CLUSTER = "the server is one of a Cluster: use redis+cluster:// in the URL"
_REFUSED: dict[str, tuple[type[StoreRefusedError], str]] = {
    "NOPERM": (StoreForbiddenError, "the Redis user is not permitted this"),
    "WRONGPASS": (CredentialsError, "Redis refuses the user or password of the URL"),
    "MOVED": (StoreRefusedError, _OF_A_CLUSTER),
    "ASK": (StoreRefusedError, _OF_A_CLUSTER),
}
_FORBIDDEN = "The user executing the script can't"
"""How Redis says within a script what is NOPERM outside of one."""
# Redis 6.2 says of a command that failed within a script
# `ERR Error running script (call to f_…): @user_script:3: -OOM command not allowed …`.
_WITHIN_SCRIPT = re.compile(r"Error running script .*?: -?([A-Z]+) ")
_CODE = re.compile(r"-?([A-Z]{2,}) ")


def code_of(error: BaseException) -> str:
    """Find the code with which a server began an answer that is an error; "" if it has none."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    text = str(error)
    if _FORBIDDEN in text:
        return "NOPERM"
    found = _WITHIN_SCRIPT.search(text) or _CODE.match(text)
    return found.group(1) if found else ""


def is_about_credentials(error: BaseException) -> bool:
    """Whether a server refused the user or the password."""
    return code_of(error) == "WRONGPASS"


def translate(error: BaseException) -> StoreError:
    """Say an error of redis-py in our words."""
    if isinstance(error, StoreError):
        return error
    text = str(error) or type(error).__name__
    code = code_of(error)
    if code in _REFUSED:
        kind, meaning = _REFUSED[code]
        return kind(f"{meaning}: {text}")
    lost = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
    if code in _NOT_NOW or isinstance(error, lost):
        return StoreUnavailableError(text)
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
