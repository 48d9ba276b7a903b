"""URLs of Redis, and its errors in our words."""

from __future__ import annotations

import pytest
import redis

from corex_shared.connection import Endpoint, safe_url, translate, translated
from corex_shared.errors import (
    ConfigError,
    StoreError,
    StoreForbiddenError,
    StoreRefusedError,
    StoreUnavailableError,
)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis//localhost",
        "redis://localhost:port/0",
        "redis://localhost:99999/0",
        "redis://[::1/0",
    ],
)
def test_a_url_that_cannot_be_used(url: str) -> None:
    """It is a ConfigError before anything is opened."""
    with pytest.raises(ConfigError) as caught:
        Endpoint(url)
    assert caught.value.source == "url"


@pytest.mark.parametrize(
    "url",
    ["redis://localhost:1/0", "rediss://u:p@localhost/1", "unix:///tmp/s?db=0"],
)
def test_a_url_that_can_be_used(url: str) -> None:
    """Nothing is opened for it yet."""
    assert Endpoint(url).url == url


def test_an_error_does_not_show_the_password() -> None:
    """A URL that is told of in an error is without it."""
    with pytest.raises(ConfigError) as caught:
        Endpoint("http://user:secret@localhost")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://localhost:1/0", "redis://localhost:1/0"),
        ("redis://user:secret@localhost:1/0", "redis://user:***@localhost:1/0"),
        ("redis://:secret@localhost/0", "redis://:***@localhost/0"),
        ("redis://user:se@cret@localhost/0", "redis://user:***@localhost/0"),
        ("unix:///tmp/s", "unix:///tmp/s"),
        ("unix://user:secret@/tmp/s?db=1", "unix://user:***@/tmp/s?db=1"),
    ],
)
def test_a_url_for_people_to_see(url: str, shown: str) -> None:
    """The password is left out, all else stays."""
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    "url", ["redis://localhost/0?password=secret", "unix:///s?password=secret"]
)
def test_a_password_in_the_query(url: str) -> None:
    """A password that is given as an option is left out too."""
    assert "secret" not in safe_url(url)


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.ConnectionError("Connection refused"),
        redis.exceptions.TimeoutError("Timeout reading from socket"),
        redis.exceptions.BusyLoadingError("LOADING"),
        redis.exceptions.ReadOnlyError("READONLY"),
        redis.exceptions.ResponseError("LOADING Redis is loading the dataset in memory"),
        redis.exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.exceptions.ResponseError("BUSY Redis is busy running a script"),
        redis.exceptions.ResponseError("MASTERDOWN Link with MASTER is down"),
        ConnectionResetError("reset"),
        BrokenPipeError(),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:30],
)
def test_a_server_that_will_serve_again(error: Exception) -> None:
    """It is worth another try."""
    found = translate(error)
    assert isinstance(found, StoreUnavailableError)
    assert str(found)


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.ResponseError("WRONGTYPE Operation against a key"),
        redis.exceptions.NoPermissionError("NOPERM"),
        redis.exceptions.DataError("no form"),
    ],
)
def test_a_server_that_refuses(error: Exception) -> None:
    """It said no, and would again."""
    assert isinstance(translate(error), StoreRefusedError)


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.NoPermissionError("this user has no permissions to run the 'x' command"),
        redis.exceptions.ResponseError(
            "The user executing the script can't access at least one of the keys"
        ),
    ],
)
def test_a_server_that_forbids(error: Exception) -> None:
    """To one user, what it may do for another; in a script it says so in other words."""
    assert isinstance(translate(error), StoreForbiddenError)


def test_ours_stay_as_they_are() -> None:
    """An error that is translated already is not wrapped again."""
    error = StoreRefusedError("no")
    assert translate(error) is error


def test_the_cause_is_kept() -> None:
    """Whoever looks for it finds redis-py's own error."""
    cause = redis.exceptions.ConnectionError("refused")
    with pytest.raises(StoreUnavailableError, match="refused") as caught, translated():
        raise cause
    assert caught.value.__cause__ is cause


def test_other_errors_pass() -> None:
    """What is not Redis's is not ours to translate."""
    with pytest.raises(KeyError), translated():
        raise KeyError("a")


def test_nobody_there() -> None:
    """A client of an address where nobody listens says so, and at once."""
    client = Endpoint("redis://127.0.0.1:1/0").command()
    with pytest.raises(StoreError), translated():
        client.ping()
    client.close()


def test_a_blocking_client_waits_longer_than_it_blocks() -> None:
    """Its socket's timeout lies beyond the block; nothing is retried blindly."""
    endpoint = Endpoint("redis://127.0.0.1:1/0")
    for client in (endpoint.blocking(20), endpoint.command()):
        options = client.connection_pool.connection_kwargs
        assert options["retry"].get_retries() == 0
        client.close()
    assert endpoint.blocking(20).connection_pool.connection_kwargs["socket_timeout"] > 20
