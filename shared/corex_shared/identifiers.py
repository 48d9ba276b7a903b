"""Identifiers of nodes, jobs, queues, groups and clients.

An identifier becomes part of a Redis key, of a channel name and of a log line, so its alphabet
is closed: letters, digits and ``._:-``, beginning with a letter or digit, at most 128 of them.
"""

from __future__ import annotations

import re
import secrets

from corex_shared.errors import InvalidIdError

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z"
"""The regular expression of an identifier, anchored at both ends (no newline at the end)."""

LONGEST_ID = 128
"""Characters of an identifier at most."""

_matches = re.compile(ID_PATTERN).match


def is_valid_id(text: object) -> bool:
    """Tell whether a value is an identifier."""
    return isinstance(text, str) and _matches(text) is not None


def check_id(kind: str, text: str) -> str:
    """Return the identifier as it is.

    Args:
        kind: what it names ("node", "job" …), for the message.
        text: the identifier.

    Raises:
        InvalidIdError: the text is not an identifier; nothing was sent anywhere.
    """
    if not is_valid_id(text):
        raise InvalidIdError(kind, text)
    return text


def new_id() -> str:
    """Make a fresh identifier: 26 characters, 104 random bits."""
    return secrets.token_hex(13)
