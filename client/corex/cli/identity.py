"""Who works at this command line: by this name nodes tell who ran what."""

from __future__ import annotations

import getpass
import os
import re
import socket

_USER, _HOST = 40, 50
"""Characters of each at most: an identifier has 128, 27 of which tell this client from others."""

_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")
_BEFORE_A_NAME = "._-"


def client_name() -> str:
    """Name the user and the host, `alice:laptop`, as an identifier can, whatever they are."""
    return f"{as_identifier(_user(), _USER, 'user')}:{as_identifier(_host(), _HOST, 'host')}"


def as_identifier(text: str, longest: int, otherwise: str) -> str:
    """Write a name with the characters of identifiers.

    Args:
        text: the name.
        longest: characters that are kept.
        otherwise: what to write if nothing of it is left.
    """
    return _OTHERS.sub("-", text).strip(_BEFORE_A_NAME)[:longest] or otherwise


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # in a container, perhaps: a number without a name
        return f"uid{os.getuid()}" if hasattr(os, "getuid") else ""


def _host() -> str:
    return socket.gethostname().partition(".")[0]
