"""Where a program and its directory are, and what it means when one of them cannot be used.

Everything here is asked as whoever the process is at that moment: for a program that runs as
another user, in its own process, after it has become that user.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ForbiddenError,
    InternalError,
    NotFoundError,
)

_DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM})
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_NO_PROGRAM = frozenset({errno.ENOEXEC, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR})


def find_program(name: str, env: Mapping[bytes, bytes]) -> str:
    """Find a program as a shell would, in the PATH of its own environment.

    A name with a slash is taken as it is: starting it will tell.

    Raises:
        BadRequestError: the name cannot be one.
        NotFoundError: there is no such program.
        ForbiddenError: there is one, and it must not be run.
    """
    if not name or "\0" in name:
        raise BadRequestError("name: it is empty or holds a NUL")
    if "/" in name:
        return name
    found: str | None = None
    for folder in os.fsdecode(env.get(b"PATH", _DEFAULT_PATH)).split(":"):
        path = os.path.join(folder, name) if folder else name
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
        if found is None and os.path.exists(path):
            found = path
    if found is not None:
        raise ForbiddenError(f"name: {found}: it may not be run")
    raise NotFoundError(f"name: {name}: no such program")


def program_error(path: str, error: OSError) -> CommandError:
    """Make the error of a program that did not start."""
    text = f"name: {path}: {error.strerror}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(text)
    if error.errno in _NOT_PERMITTED:
        return ForbiddenError(text)
    if error.errno in _NO_PROGRAM:
        return BadRequestError(text)
    if error.errno == errno.E2BIG:
        return BadRequestError(f"args: with the environment they are too long for {path}")
    return InternalError(text)


def enter_directory(directory: str) -> None:
    """Make a directory this process's own.

    Raises:
        BadRequestError: it cannot be a path, or is not a directory.
        NotFoundError: it does not exist.
        ForbiddenError: it must not be entered.
        InternalError: it could not be.
    """
    if "\0" in directory:
        raise BadRequestError("dir: it holds a NUL")
    try:
        os.chdir(directory)
    except OSError as error:
        raise _directory_error(directory, error) from error


def _directory_error(directory: str, error: OSError) -> CommandError:
    text = f"dir: {directory}: {error.strerror}"
    if error.errno == errno.ENOENT:
        return NotFoundError(text)
    if error.errno in _NOT_PERMITTED:
        return ForbiddenError(text)
    return (BadRequestError if error.errno in _NO_DIRECTORY else InternalError)(text)
