"""Moving what is at a path to another path, on another file system too."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from corex_node.builtins.files.copying import copy
from corex_node.builtins.files.part import part_name, sync_names
from corex_node.builtins.files.place import DIRECTORY, Place, place
from corex_node.builtins.files.refusal import refusal, refusing
from corex_node.builtins.files.removal import refuse_mounts, remove_at
from corex_node.builtins.files.walk import Stopped
from corex_shared.errors import CommandError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def move(path: str, destination: str, stopped: Stopped) -> None:
    """Give what is at a path another path, as rename(2) does.

    A file takes the place of a file, a directory that of an empty directory, in one step: there is
    always either what was or what comes. A link itself is moved. On another file system it is
    copied beside its destination first, takes its place then, and is removed last.

    Raises:
        NotFoundError: nothing is at the path, or the destination's directory is not there.
        BadRequestError: the destination is a directory and the path is not, or the other way
            round; or it is within the path.
        ConflictError: the destination is a directory that is not empty.
        ForbiddenError: it may not be moved; or, to another file system, there are mount points in
            it.
        CommandError: it cannot be moved. Both paths are as they were until it has taken its place;
            what can fail after that is to remove it where it was.
    """
    with refusing("path", path):
        os.lstat(path)
    try:
        os.rename(path, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise refusal("destination", f"{destination} (from {path})", error) from error
    else:
        return
    _move_across(path, destination, stopped)


def _move_across(path: str, destination: str, stopped: Stopped) -> None:
    refuse_mounts("path", path)
    with (
        refusing("destination", destination),
        place("destination", destination) as target,
        refusing("path", path),
        place("path", path) as source,
    ):
        _replace(source, target, stopped)
        remove_at(source, _never)


def _replace(source: Place, target: Place, stopped: Stopped) -> None:
    """Copy what is at a place to another, in one step for whoever looks there."""
    with refusing("destination", target.path):
        _check_fit(source, target)
    part = Place(target.at, part_name(target.name), target.path)
    try:
        try:
            copy(source, part, stopped)
        except OSError as error:
            if error.errno in _FULL:
                raise refusal("destination", target.path, error) from error
            raise
        with refusing("destination", target.path):
            os.rename(part.name, target.name, src_dir_fd=part.at, dst_dir_fd=target.at)
            sync_names(target.at)
    except BaseException:
        with suppress(OSError, CommandError):
            remove_at(part, _never)
        raise


def _check_fit(source: Place, target: Place) -> None:
    """See that the one may take the other's place, before everything is copied.

    Raises:
        OSError: it may not.
    """
    try:
        there = os.stat(target.name, dir_fd=target.at, follow_symlinks=False)
    except FileNotFoundError:
        return
    comes = os.stat(source.name, dir_fd=source.at, follow_symlinks=False)
    is_directory = stat.S_ISDIR(comes.st_mode)
    if is_directory != stat.S_ISDIR(there.st_mode):
        raise _error(errno.ENOTDIR if is_directory else errno.EISDIR)
    if is_directory and not _is_empty(target):
        raise _error(errno.ENOTEMPTY)


def _is_empty(found: Place) -> bool:
    number = os.open(found.name, DIRECTORY, dir_fd=found.at)
    try:
        with os.scandir(number) as entries:
            return next(entries, None) is None
    finally:
        os.close(number)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _never() -> bool:
    """What is begun here is done to its end."""
    return False
