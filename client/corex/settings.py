"""From the arguments of a client to its core."""

from __future__ import annotations

import os
from typing import Literal

from corex.core import Core
from corex.profiles.choice import NAMESPACE_VARIABLE
from corex_shared.codec import Encoding
from corex_shared.errors import ConfigError
from corex_shared.identifiers import is_valid_id
from corex_shared.keys import DEFAULT_NAMESPACE, Keys


def make_core(namespace: str | None, encoding: Literal["msgpack", "json"]) -> Core:
    """Make the core of a client.

    Raises:
        ConfigError: the namespace or the encoding is none.
    """
    chosen = namespace or os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE
    if not is_valid_id(chosen):
        source = "namespace" if namespace else NAMESPACE_VARIABLE
        raise ConfigError(source, "", f"{chosen!r} is not an identifier")
    try:
        return Core(keys=Keys(chosen), encoding=Encoding(encoding))
    except ValueError as error:
        raise ConfigError("encoding", "", f"{encoding!r} is neither msgpack nor json") from error
