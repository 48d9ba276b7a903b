"""Paths from commands, and the names that they end with.

A relative path is one in the agent's working directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from corex_shared.errors import BadRequestError, ForbiddenError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags to open a directory that is to be listed, never by way of a link."""
PASSAGE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags to open a directory in which only names are looked up: that needs no right to read it."""

_LONGEST = 4095  # PATH_MAX, without the NUL at the end


class Place(Struct, frozen=True):
    """A name in a directory.

    Attributes:
        at: descriptor of the directory, whatever becomes of the path that led there.
        name: in it.
        path: which led there, for messages.
    """

    at: int
    name: str
    path: str


def checked(argument: str, path: str) -> str:
    """Return a path if it can be one.

    Raises:
        BadRequestError: it is empty or too long, or holds a NUL or what is no character.
    """
    if not path or "\0" in path:
        raise BadRequestError(f"{argument}: it is empty or holds a NUL")
    try:
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{argument}: it holds half a character") from error
    if size > _LONGEST:
        raise BadRequestError(f"{argument}: it has {size} bytes, the limit is {_LONGEST}")
    return path


def parted(argument: str, path: str) -> tuple[str, str]:
    """Part a path into directory and name; slashes at its end do not count.

    Raises:
        ForbiddenError: it is the root directory's.
        BadRequestError: it does not end with a name.
    """
    stripped = path.rstrip("/")
    if not stripped:
        raise ForbiddenError(f"{argument}: /: this is the root directory")
    folder, name = os.path.split(stripped)
    if name in (".", ".."):
        raise BadRequestError(f"{argument}: {path}: it ends with {name}, a name is expected")
    return folder or ".", name


@contextmanager
def place(argument: str, path: str) -> Iterator[Place]:
    """Hold the directory that a path is in.

    Raises:
        ForbiddenError: it is the root directory's path.
        BadRequestError: it does not end with a name.
        OSError: there is no such directory, or it may not be entered.
    """
    folder, name = parted(argument, path)
    at = os.open(folder, PASSAGE)
    try:
        yield Place(at, name, os.path.join(folder, name))
    finally:
        os.close(at)
