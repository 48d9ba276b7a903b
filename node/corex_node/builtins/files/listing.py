"""What is known of files, without opening them."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from contextlib import suppress

from msgspec import Struct

from corex_node.builtins.files.refusal import refusing, shown
from corex_node.builtins.files.walk import Stopped, check_stopped
from corex_shared.errors import NotAcceptableError

MOST_ENTRIES = 1_000_000
"""Entries of a directory that are listed: all are in memory at once."""
_PERMISSIONS = 0o777
_ALL_PERMISSIONS = 0o7777
_NS_PER_MS = 1_000_000
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


class ListedFile(Struct, frozen=True, gc=False):
    """An entry of a directory; a link is not followed.

    Attributes:
        name: in the directory, with U+FFFD for what is no UTF-8.
        size: bytes.
        mode: permissions, the last nine bits.
        is_dir: whether it is a directory.
    """

    name: str
    size: int
    mode: int
    is_dir: bool


class FileStatus(Struct, frozen=True):
    """A file; a link is followed.

    Attributes:
        size: bytes.
        mode: permissions, the last twelve bits.
        is_dir: whether it is a directory.
        is_link: whether the path itself is that of a link.
        mtime: when its content was changed, in ms since the epoch.
        user: name of its owner, the number when that has none.
        group: name of its group, the number when that has none.
    """

    size: int
    mode: int
    is_dir: bool
    is_link: bool
    mtime: int
    user: str
    group: str


def list_directory(
    path: str, stopped: Stopped, most_entries: int = MOST_ENTRIES
) -> list[ListedFile]:
    """List a directory, in the order of names; what vanishes meanwhile is left out.

    Raises:
        NotAcceptableError: it has more than `most_entries`.
        CommandError: it cannot be listed.
    """
    listed: list[ListedFile] = []
    with refusing("path", path), os.scandir(path) as entries:
        for entry in entries:
            check_stopped(stopped)
            if len(listed) == most_entries:
                raise NotAcceptableError(f"path: {path}: it has more than {most_entries} entries")
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                listed.append(
                    ListedFile(
                        shown(entry.name),
                        status.st_size,
                        status.st_mode & _PERMISSIONS,
                        stat.S_ISDIR(status.st_mode),
                    )
                )
    listed.sort(key=lambda file: file.name)
    return listed


def exists(path: str) -> bool:
    """Tell whether there is something at a path; a link counts if what it names is there.

    Raises:
        CommandError: that cannot be found out.
    """
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        with refusing("path", path):
            raise
    return True


def status_of(path: str) -> FileStatus:
    """Tell what is known of a file.

    Raises:
        CommandError: it is not there, or cannot be seen.
    """
    with refusing("path", path):
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
        status = os.stat(path)
    return FileStatus(
        size=status.st_size,
        mode=status.st_mode & _ALL_PERMISSIONS,
        is_dir=stat.S_ISDIR(status.st_mode),
        is_link=is_link,
        mtime=status.st_mtime_ns // _NS_PER_MS,
        user=_user(status.st_uid),
        group=_group(status.st_gid),
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
