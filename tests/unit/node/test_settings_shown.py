"""Settings as `config.get` shows them."""

from __future__ import annotations

from typing import Any

import pytest

from corex_node.builtins import config as shown
from corex_node.builtins.config import without_secrets
from corex_node.config import Config
from corex_node.config_tables import Main
from corex_node.manager.registry import Registry


@pytest.mark.parametrize(
    "name",
    ["password", "db_passwd", "API_TOKEN", "clientSecret", "ssh-key", "aws_secret_access_key"],
)
def test_text_with_the_name_of_a_secret_is_hidden(name: str) -> None:
    """Wherever it is; what is beside it stays."""
    tree = {"table": {name: "hunter2", "zone": "eu"}}
    assert without_secrets(tree) == {"table": {name: "***", "zone": "eu"}}


def test_what_is_in_a_table_of_secrets_is_hidden() -> None:
    """All text in it, however deep."""
    tree = {"secrets": {"db": "hunter2", "more": ["a", {"b": "c"}]}}
    assert without_secrets(tree) == {"secrets": {"db": "***", "more": ["***", {"b": "***"}]}}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://me:hun:ter2@h/0?ssl_password=hunter2&db=1", "rediss://me:***@h/0?ssl_password=***&db=1"),
        ("unix:///run/redis.sock?password=hunter2", "unix:///run/redis.sock?password=***"),
        ("--api-key=hunter2", "--api-key=***"),
        ("API_KEY=hunter2 exec serve", "API_KEY=*** exec serve"),
        ("nothing to hide", "nothing to hide"),
        ("", ""),
    ],
)  # fmt: skip
def test_secrets_within_text_are_hidden(text: str, expected: str) -> None:
    """Passwords of URLs, and what is assigned to the name of a secret."""
    assert without_secrets({"value": text, "list": [text]}) == {
        "value": expected,
        "list": [expected],
    }


def test_what_follows_an_option_with_the_name_of_a_secret_is_hidden() -> None:
    """Arguments of programs are read as they are meant."""
    arguments = ["serve", "--token", "hunter2", "--port", "80", "-key", "hunter2", "--quiet"]
    assert without_secrets({"args": arguments}) == {
        "args": ["serve", "--token", "***", "--port", "80", "-key", "***", "--quiet"]
    }


@pytest.mark.parametrize("value", [0, 1.5, True, None, "", [], {}])
def test_what_is_no_text_is_shown(value: Any) -> None:
    """A number of tokens is no secret, and that there is none may be known."""
    assert without_secrets({"tokens": value}) == {"tokens": value}


def test_the_answer_is_the_tree_of_all_settings() -> None:
    """Every table is there, and the URL without its password."""
    registry = Registry()
    config = Config(
        main=Main(id="n1", url="redis://:hunter2@h/0"),
        labels={"zone": "eu", "join_token": "hunter2"},
    )
    shown.register(registry, config)
    entry = registry.get("config.get")
    assert entry is not None
    answer = entry.bind(entry.parse(None), None)()
    assert set(answer) == set(Config.__struct_fields__)
    assert answer["main"]["url"] == "redis://:***@h/0"
    assert answer["main"]["id"] == "n1"
    assert answer["labels"] == {"zone": "eu", "join_token": "***"}
    assert answer["limits"]["grace"] == 5
    assert "hunter2" not in str(answer)
