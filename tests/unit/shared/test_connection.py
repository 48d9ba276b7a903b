"""URLs of Redis, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.sentinel
from redis._parsers.base import BaseParser

from corex_shared.connection import (
    Endpoint,
    execute,
    safe_url,
    translate,
    translated,
    with_options,
    with_password,
)
from corex_shared.connection.urls import Kind, Location, parse
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
        "redis+ring://localhost",
        "redis+unix:///tmp/s",
    ],
)
def test_a_url_that_cannot_be_used(url: str) -> None:
    """It is a ConfigError before anything is opened."""
    with pytest.raises(ConfigError) as caught:
        Endpoint(url)
    assert caught.value.source == "url"


@pytest.mark.parametrize(
    "url, words",
    [
        ("localhost:6379", "begin with"),
        ("http://localhost", "begin with"),
        ("redis://localhost:port/0", "port must be a number"),
        ("redis+cluster://h1:1,h2:0", "port must be a number"),
        ("redis+sentinel://h1:1,h2:99999/main", "port must be a number"),
        ("redis+cluster://h1:1,h2:2:3", "port must be a number"),
        ("redis+cluster://[::1", "host must be"),
        ("redis+cluster://::1", "host is missing"),
        ("redis://h1:1,h2:2/0", r"redis\+sentinel:// or"),
        ("redis://localhost/zero", "database"),
        ("redis+sentinel://h1:1/main/zero", "database"),
        ("redis+sentinel://h1:1,h2:2", "service is missing"),
        ("redis+sentinel://h1:1,h2:2/", "service is missing"),
        ("redis+sentinel:///main", "host is missing"),
        ("redis+sentinel://h1:1,,h2:2/main", "host is missing"),
        ("redis+cluster://", "host is missing"),
        ("redis+cluster://h1:1/1", "no databases"),
        ("redis+cluster://h1:1?db=1", "no databases"),
        ("redis://h1:1/0?ssl_ca_certs=/ca.pem", "rediss"),
        ("redis://h1:1/0?socket_timeout=1", "no option socket_timeout"),
        ("redis://h1:1/0?sentinel_password=x", "no option sentinel_password"),
        ("rediss://h1:1/0?ssl_min_version=tls", "ssl_min_version"),
        ("rediss://h1:1/0?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("redis://h1:1/0?max_connections=-1", "max_connections"),
        ("redis://h1:1/0?db=-1", "db"),
        ("redis://h1:1/0#x", "%23"),
        ("unix://", "path of the socket"),
        ("unix://tmp/s", "path of the socket"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, words: str) -> None:
    """The error names the part that is wrong."""
    with pytest.raises(ConfigError, match=words):
        Endpoint(url)


_TLS: dict[str, Any] = {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}


@pytest.mark.parametrize(
    "url, location",
    [
        ("redis://h", Location(Kind.SERVER, hosts=(("h", 6379),))),
        ("redis:///2", Location(Kind.SERVER, hosts=(("localhost", 6379),), options={"db": 2})),
        ("redis://[::1]:7/", Location(Kind.SERVER, hosts=(("::1", 7),))),
        (
            "redis://us%40er:p%2Fw%3F@h/0?client_name=x",
            Location(
                Kind.SERVER,
                hosts=(("h", 6379),),
                options={"username": "us@er", "password": "p/w?", "db": 0, "client_name": "x"},
            ),
        ),
        (
            "unix://:pw@/tmp/s%20x?db=1",
            Location(Kind.SOCKET, options={"password": "pw", "path": "/tmp/s x", "db": 1}),
        ),
        (
            "rediss://h:1/0?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Location(Kind.SERVER, True, (("h", 1),), options={"db": 0, **_TLS}),
        ),
        (
            "redis+sentinel://u:p@h1,h2:1,[::2]:3/main/5?sentinel_username=s&sentinel_password=t",
            Location(
                Kind.SENTINEL,
                hosts=(("h1", 26379), ("h2", 1), ("::2", 3)),
                service="main",
                options={"username": "u", "password": "p", "db": 5},
                sentinel={"username": "s", "password": "t"},
            ),
        ),
        (
            "rediss+sentinel://h/main?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Location(Kind.SENTINEL, True, (("h", 26379),), "main", options=_TLS),
        ),
        (
            "redis+cluster://:p@h1:1,h2/",
            Location(Kind.CLUSTER, hosts=(("h1", 1), ("h2", 6379)), options={"password": "p"}),
        ),
        (
            "rediss+cluster://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Location(Kind.CLUSTER, True, (("h", 6379),), options=_TLS),
        ),
    ],
)
def test_what_a_url_says(url: str, location: Location) -> None:
    """Scheme, user, hosts, service, database and options are read, defaults filled in."""
    assert parse(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:1/0",
        "rediss://u:p@localhost/1",
        "unix:///tmp/s?db=0",
        "redis+sentinel://u:p@h1:1,h2:2/main/0",
        "rediss+cluster://h1:1,h2:2",
    ],
)
def test_a_url_that_can_be_used(url: str) -> None:
    """Nothing is opened for it yet."""
    assert Endpoint(url).url == url


def test_an_error_does_not_show_the_password() -> None:
    """A URL that is told of in an error is without it."""
    for url in ("http://user:secret@localhost", "redis://user:secret/x@h", "redis://u:secret#@h"):
        with pytest.raises(ConfigError) as caught:
            Endpoint(url)
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
        (
            "redis+sentinel://u:secret@h1:1,h2:2/main/0?sentinel_password=secret&db=1",
            "redis+sentinel://u:***@h1:1,h2:2/main/0?sentinel_password=***&db=1",
        ),
        ("rediss+cluster://:secret@h1:1,h2:2", "rediss+cluster://:***@h1:1,h2:2"),
        ("redis://h:1/0?sentinel_password=a@b", "redis://h:1/0?sentinel_password=***"),
        ("rediss://h?ssl_password=secret", "rediss://h?ssl_password=***"),
        # Not encoded as they should be: rather more is hidden than less.
        ("redis://user:sec/ret@h:1/0", "redis://user:***@h:1/0"),
        ("redis://user:sec?r#et@h:1/0", "redis://user:***@h:1/0"),
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
    "option", ["Password=secret", "passwd=secret", "Pass%77ord=secret", "x=1&ssl_passwort=secret"]
)
def test_a_password_in_an_option_that_is_misspelled(option: str) -> None:
    """It is hidden in the very error that says that there is no such option."""
    with pytest.raises(ConfigError) as caught:
        parse(f"rediss://localhost/0?{option}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", [repr, str])
def test_what_holds_a_password_does_not_show_it(text: Callable[[object], str]) -> None:
    """Neither do the objects that a log or a debugger may print."""
    url = "redis+sentinel://u:secret@h:1/main?sentinel_password=secret"
    assert "secret" not in text(parse(url))
    assert "secret" not in text(Endpoint(url))


@pytest.mark.parametrize(
    "url, whole",
    [
        ("redis://localhost", "redis://:p%40%2F%3A@localhost"),
        ("redis://u@localhost/0", "redis://u:p%40%2F%3A@localhost/0"),
        ("redis://u:@localhost/0", "redis://u:p%40%2F%3A@localhost/0"),
        ("redis://localhost?db=1", "redis://:p%40%2F%3A@localhost?db=1"),
        ("unix:///tmp/s?db=1", "unix://:p%40%2F%3A@/tmp/s?db=1"),
        ("unix://u@/tmp/s", "unix://u:p%40%2F%3A@/tmp/s"),
        ("redis+sentinel://u@a:1,b/m/0", "redis+sentinel://u:p%40%2F%3A@a:1,b/m/0"),
    ],
)
def test_a_password_put_into_a_url(url: str, whole: str) -> None:
    """It is read as it was, and nothing else is changed."""
    assert with_password(url, "p@/:") == whole
    before, after = parse(url), parse(whole)
    assert after.options == {**before.options, "password": "p@/:"}
    assert (after.kind, after.hosts, after.service) == (before.kind, before.hosts, before.service)


def test_options_put_into_a_url() -> None:
    """With those that it has already."""
    assert with_options("rediss://h/0", {}) == "rediss://h/0"
    url = with_options("rediss://h/0?db=1", {"ssl_ca_certs": "/a b&c"})
    assert parse(url).options == {"db": 1, "ssl_ca_certs": "/a b&c"}


def _answer(text: str) -> Exception:
    """Make of an answer what redis-py makes of it."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.ConnectionError("Connection refused"),
        redis.exceptions.TimeoutError("Timeout reading from socket"),
        redis.exceptions.MaxConnectionsError("Too many connections"),
        redis.sentinel.MasterNotFoundError("No master found for 'main'"),
        ConnectionResetError("reset"),
        BrokenPipeError(),
        TimeoutError("too late"),
        redis.exceptions.NoScriptError("No matching script"),
        *map(
            _answer,
            [
                "NOSCRIPT No matching script. Please use EVAL.",
                "READONLY You can't write against a read only replica.",
                "LOADING Redis is loading the dataset in memory",
                "CLUSTERDOWN The cluster is down",
                "CLUSTERDOWN Hash slot not served",
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                "OOM command not allowed when used memory > 'maxmemory'.",
                "MISCONF Redis is configured to save RDB snapshots",
                "NOREPLICAS Not enough good replicas to write.",
                "BUSY Redis is busy running a script.",
                "TRYAGAIN Multiple keys request during rehashing of slot",
                "UNBLOCKED force unblock from blocking operation, instance state changed",
                "ERR max number of clients reached",
                # Within a script, as 7.0 and as 6.2 say it.
                (
                    "READONLY You can't write against a read only replica. script: 1a2b, on "
                    "@user_script:9."
                ),
                (
                    "ERR Error running script (call to f_1a2b): @user_script:9: -READONLY You "
                    "can't write against a read only replica."
                ),
                (
                    "ERR Error running script (call to f_1a2b): @user_script:3: -OOM command not "
                    "allowed when used memory > 'maxmemory'."
                ),
            ],
        ),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_a_server_that_will_serve_again(error: Exception) -> None:
    """It, or one in its place, is worth another try."""
    found = translate(error)
    assert isinstance(found, StoreUnavailableError)
    assert str(found)


@pytest.mark.parametrize(
    "error, words",
    [
        (redis.exceptions.DataError("no form"), "no form"),
        (_answer("WRONGTYPE Operation against a key holding the wrong kind of value"), "WRONGTYPE"),
        (_answer("ERR unknown command 'LMPOP'"), "unknown command"),
        (_answer("ERR Error running script (call to f_1): @user_script:3: -WRONGTYPE no"), "no"),
        (_answer("CROSSSLOT Keys in request don't hash to the same slot"), "same slot"),
        (_answer("NOPERM this user has no permissions to run 'blmove'"), "user is not permitted"),
        (_answer("NOAUTH Authentication required."), "password"),
        (_answer("WRONGPASS invalid username-password pair or user is disabled."), "password"),
        (_answer("ERR invalid password"), "password"),
        (_answer("ERR wrong number of arguments for 'auth' command"), "password"),
        (_answer("MOVED 866 127.0.0.1:7001"), r"redis\+cluster://"),
        (_answer("ASK 866 127.0.0.1:7001"), r"redis\+cluster://"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_server_that_refuses(error: Exception, words: str) -> None:
    """It said no, and would again; what to change is said where that can be told."""
    found = translate(error)
    assert isinstance(found, StoreRefusedError)
    assert re.search(words, str(found))


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
    with pytest.raises(StoreError):
        execute(client, [("PING",)])
    client.close()


def test_a_blocking_client_waits_longer_than_it_blocks() -> None:
    """Its socket's timeout lies beyond the block; nothing is retried blindly."""
    endpoint = Endpoint("redis://127.0.0.1:1/0")
    blocking = endpoint.blocking(20)
    for client in (blocking, endpoint.command()):
        assert isinstance(client, redis.Redis)
        assert client.connection_pool.connection_kwargs["retry"].get_retries() == 0
        client.close()
    assert isinstance(blocking, redis.Redis)
    assert blocking.connection_pool.connection_kwargs["socket_timeout"] > 20


@pytest.mark.parametrize(
    "url, seconds",
    [
        ("redis://h", 20),
        ("unix:///tmp/s", 20),
        ("redis+sentinel://h/main", 5),
        ("redis+cluster://h", 5),
    ],
)
def test_where_another_may_take_over_blocks_are_short(url: str, seconds: float) -> None:
    """A master that hangs is noticed only when a block is overdue."""
    assert Endpoint(url).longest_block(20) == seconds
    assert Endpoint(url).longest_block(1) == 1
