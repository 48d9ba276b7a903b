"""From the arguments of a client to its core."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from corex.core import Core
from corex.profiles.choice import NAMESPACE_VARIABLE
from corex_shared.codec import Encoding
from corex_shared.errors import ConfigError
from corex_shared.identifiers import LONGEST_ID, is_valid_id
from corex_shared.keys import DEFAULT_NAMESPACE, Keys


def make_core(
    namespace: str | None, encoding: Literal["msgpack", "json"], name: str | None = None
) -> Core:
    """Make the core of a client.

    Raises:
        ConfigError: the namespace, the encoding or the name is none.
    """
    chosen = namespace or os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE
    if not is_valid_id(chosen):
        source = "namespace" if namespace else NAMESPACE_VARIABLE
        raise ConfigError(source, "", f"{chosen!r} is not an identifier")
    try:
        core = Core(keys=Keys(chosen), encoding=Encoding(encoding))
    except ValueError as error:
        raise ConfigError("encoding", "", f"{encoding!r} is neither msgpack nor json") from error
    return core if name is None else replace(core, client_id=_named(name, core.client_id))


def _named(name: str, client_id: str) -> str:
    """Have a client's ID begin with a name: it is no other client's for all that."""
    named = f"{name}:{client_id}"
    if not is_valid_id(name) or not is_valid_id(named):
        longest = LONGEST_ID - len(client_id) - 1
        raise ConfigError("name", "", f"{name!r} is no identifier of at most {longest} characters")
    return named
