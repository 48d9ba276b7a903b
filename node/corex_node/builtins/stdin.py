"""The argument `stdin` of commands that run a program."""

from __future__ import annotations

from typing import Any

from corex_shared.errors import BadRequestError


def stdin_of(value: Any) -> bytes | None:
    """What a program is to read, None for nothing.

    Raises:
        BadRequestError: it is neither text nor bytes.
    """
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise BadRequestError("stdin: text or bytes expected")
