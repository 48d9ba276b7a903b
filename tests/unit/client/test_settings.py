"""Arguments and environment of a client, and the public names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import corex
from corex import Client
from corex.profiles.choice import find_place_of_library
from corex.settings import make_core
from corex_shared import errors
from corex_shared.errors import ConfigError, CorexError


def test_the_url_comes_from_argument_environment_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The argument wins over the environment, which wins over the default."""
    monkeypatch.delenv("COREX_URL", raising=False)
    monkeypatch.delenv("COREX_PROFILE", raising=False)

    def find_url(url: str | None) -> str:
        return find_place_of_library(url, None, None).url

    assert find_url(None) == "redis://127.0.0.1:6379/0"
    monkeypatch.setenv("COREX_URL", "redis://b/1")
    assert find_url(None) == "redis://b/1"
    assert find_url("redis://a/2") == "redis://a/2"


def test_the_namespace_comes_from_argument_environment_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the URL does."""
    monkeypatch.delenv("COREX_NAMESPACE", raising=False)
    assert make_core(None, "msgpack").keys.namespace == "corex"
    monkeypatch.setenv("COREX_NAMESPACE", "b")
    assert make_core(None, "msgpack").keys.namespace == "b"
    assert make_core("a", "msgpack").keys.namespace == "a"


@pytest.mark.parametrize(
    "arguments", [{"url": "ftp://x"}, {"namespace": "a b"}, {"encoding": "xml"}], ids=str
)
def test_what_cannot_be_used_is_refused(arguments: Any) -> None:
    """A client that could not work is not made."""
    with pytest.raises(ConfigError):
        Client(**arguments)


def test_every_error_is_public() -> None:
    """Whatever leaves the library can be caught by its name in `corex`."""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, CorexError):
            assert getattr(corex, name) is value


def test_every_public_name_is_there() -> None:
    """`from corex import *` works, and a name that is not there is an AttributeError."""
    for name in corex.__all__:
        assert getattr(corex, name) is not None
    assert set(corex.__all__) <= set(dir(corex))
    with pytest.raises(AttributeError, match="nonsense"):
        corex.nonsense  # noqa: B018 - the access is what is tested


def test_importing_corex_loads_no_redis() -> None:
    """A program that needs only a model or an error does not pay for the rest."""
    code = (
        "import sys, corex; corex.JobState, corex.Command, corex.WaitTimeout;"
        "sys.exit('redis' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_name_begins_the_id_of_a_client() -> None:
    """Each client has an ID of its own all the same; without a name it is the random part."""
    first, second = (Client(name="deployer").id for _ in range(2))
    assert first != second
    assert first.startswith("deployer:")
    assert len(Client().id) == 26


@pytest.mark.parametrize("name", ["", "no name", "-x", "x" * 102, "ü", "x\n"])
def test_a_name_that_is_no_identifier_is_an_error(name: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match="name"):
        Client(name=name)
    assert Client(name="x" * 101).id.startswith("xxx")
