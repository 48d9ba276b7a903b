"""`config.get`."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from corex_node.config import Config
from corex_node.manager.registry import NoArguments, Registry
from corex_shared.connection import safe_url

_HIDDEN = "***"
_SECRET = "(?:password|passwd|passphrase|token|secret|key|credential)"
_is_secret = re.compile(_SECRET, re.IGNORECASE).search
_is_option = re.compile(r"--?[\w.-]+\Z").match
_assignment = re.compile(rf"([\w.-]*{_SECRET}[\w.-]*=)[^\s&#]+", re.IGNORECASE)


def register(registry: Registry, config: Config) -> None:
    """Add the command to a registry, for a node with these settings."""
    shown = without_secrets(msgspec.to_builtins(config))

    def get(_: NoArguments) -> Any:
        """Answer the settings, secrets left out."""
        return shown

    registry.command("config.get", NoArguments, inline=True, repeatable=True)(get)


def without_secrets(value: Any, name: str = "") -> Any:
    """Copy a tree of settings, with asterisks in place of what nobody is to see.

    That is text whose name, or that of a table around it, looks like the name of a secret, and
    within other text: passwords of URLs, what is assigned to such a name, and what follows an
    option of such a name.
    """
    if isinstance(value, dict):
        return {key: without_secrets(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        before = ["", *map(str, value)]
        return [
            without_secrets(item, f"{name}.{option}" if _is_option(option) else name)
            for option, item in zip(before, value, strict=False)
        ]
    if not isinstance(value, str) or not value:
        return value
    if _is_secret(name):
        return _HIDDEN
    return _assignment.sub(rf"\1{_HIDDEN}", safe_url(value))
