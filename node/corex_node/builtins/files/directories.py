"""Making directories."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from corex_node.builtins.files.refusal import refusing

_MODE = 0o755


def make_directory(path: str) -> None:
    """Make a directory with the parents that it lacks; one that is there is no error.

    Raises:
        ConflictError: something else is there.
        CommandError: it cannot be made.
    """
    with refusing("path", path):
        try:
            os.mkdir(path, _MODE)
        except FileNotFoundError:
            _make_all(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def _make_all(path: str) -> None:
    for prefix in _prefixes(path):
        with suppress(FileExistsError):  # what is no directory, the next one tells
            os.mkdir(prefix, _MODE)
    if not os.path.isdir(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def _prefixes(path: str) -> list[str]:
    """All directories on the way, from the first to the last."""
    parts = path.split("/")
    joined = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return [prefix for prefix in joined if prefix]
