"""What is said when Redis lets somebody not in, or not do something; and what is not said."""

from __future__ import annotations

import pytest
import redis

from corex_shared.connection import Endpoint, safe_url, translate
from corex_shared.errors import ConfigError, CredentialsError, StoreForbiddenError
from corex_shared.scripts import Call, describe, script


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.AuthenticationError("invalid username-password pair or user is disabled."),
        redis.exceptions.AuthenticationError("Authentication required."),
        redis.exceptions.AuthenticationWrongNumberOfArgsError("wrong number of arguments"),
    ],
)
def test_wrong_credentials_are_no_outage(error: Exception) -> None:
    """Though redis-py counts them among lost connections."""
    found = translate(error)
    assert isinstance(found, CredentialsError)
    assert "user or password" in str(found)
    assert str(error) in str(found)


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.NoPermissionError("this user has no permissions to run the 'get' command"),
        redis.exceptions.ResponseError(
            "The user executing the script can't access at least one of the keys mentioned in the "
            "command arguments script: 18bad09, on @user_script:1."
        ),
        redis.exceptions.ResponseError(
            "Error running script (call to f_12ed): @user_script:1: @user_script: 1: "
            "The user executing the script can't run this command or subcommand"
        ),
    ],
    ids=["command", "in a script of 7.0", "in a script of 6.2"],
)
def test_a_missing_permission(error: Exception) -> None:
    """Is told from other refusals."""
    assert isinstance(translate(error), StoreForbiddenError)


@pytest.mark.parametrize(
    "call, text",
    [
        (("RPUSH", "k", "payload"), "RPUSH k"),
        (("RPUSH", b"k", b"payload"), "RPUSH k"),
        (("PING",), "PING"),
        (script("mark").call(["a", "b"], ["token", "x"]), "script mark a b"),
        (script("mark").call(["a", ""], ["token"]), "script mark a"),
        (script("mark").call(list("abcdef"), []), "script mark a b c d …"),
        (("EVALSHA", "0" * 40, 1, "k", "payload"), "script ? k"),
    ],
)
def test_a_command_is_named_by_its_keys(call: Call, text: str) -> None:
    """Its other arguments, which may be payloads and tokens, are not shown."""
    assert describe(call) == text


@pytest.mark.parametrize(
    "url",
    [
        "rediss://h/0?ssl_ca_certs=/ca&ssl_keyfile=/etc/hidden.key&ssl_certfile=/c",
        "rediss://h/0?ssl_password=hidden",
        "redis+sentinel://h/s?sentinel_password=hidden&db=1",
    ],
)
def test_passwords_and_keys_of_tls_are_not_shown(url: str) -> None:
    """Wherever they are in a URL."""
    assert "hidden" not in safe_url(url)


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there_is_an_error_before_anything_is_opened(name: str) -> None:
    """It names the option, and not the path."""
    url = f"rediss://localhost/0?{name}=/nowhere/hidden"
    with pytest.raises(ConfigError, match=f"{name}: cannot be read: No such file") as caught:
        Endpoint(url)
    assert "hidden" not in str(caught.value)


def test_a_key_without_a_certificate() -> None:
    """Is of no use, and not passed over."""
    with pytest.raises(ConfigError, match="ssl_certfile: is missing"):
        Endpoint("rediss://localhost/0?ssl_keyfile=/etc/hostname")


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_of_something_else(name: str) -> None:
    """Is named before anything is opened."""
    with pytest.raises(ConfigError, match=name):
        Endpoint(f"rediss://localhost/0?{name}=/etc/hostname")
