"""Permissions and owners of files and trees.

Only a path that is not changed recursively is followed if it is a link. Links in a tree stay what
they are: their permissions mean nothing, and their owner is changed, not that of what they name.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from contextlib import suppress

from msgspec import Struct

from corex_node.builtins.files.place import Place, place
from corex_node.builtins.files.refusal import refusing
from corex_node.builtins.files.walk import Stopped, Visitor, walk
from corex_shared.errors import BadRequestError, NotAcceptableError, NotFoundError

_LAST_MODE = 0o7777
_LAST_ID = 2**32 - 2  # 2**32 - 1 means "leave as it is" to chown(2)
_UNCHANGED = -1
_OCTAL = re.compile(r"(0o)?[0-7]{1,5}")
_MAY_BE_LISTED = 0o500
_ALL_FOR_OWNER = 0o700


class Owner(Struct, frozen=True):
    """User and group by number; -1 leaves one as it is."""

    uid: int
    gid: int


def parse_mode(argument: str, mode: int | str) -> int:
    """Read permissions: a number, or its octal digits as text, such as "0644".

    Raises:
        BadRequestError: it is neither, or has other bits than permissions.
    """
    if isinstance(mode, str):
        if _OCTAL.fullmatch(mode) is None:
            raise BadRequestError(f"{argument}: {mode[:40]!r}: octal digits expected")
        mode = int(mode, 8)
    if not 0 <= mode <= _LAST_MODE:
        raise BadRequestError(f"{argument}: {mode:o}: 0 to {_LAST_MODE:o}, octal, expected")
    return mode


def find_owner(user: str | int | None, group: str | int | None) -> Owner:
    """Find user and group by name or number; None or an empty name leaves one as it is.

    Raises:
        BadRequestError: neither is given, or a number that cannot be one.
        NotFoundError: there is no such user or group.
    """
    if user in (None, "") and group in (None, ""):
        raise BadRequestError("user: neither user nor group is given")
    return Owner(_find_user(user), _find_group(group))


def _find_user(user: str | int | None) -> int:
    if user is None or user == "":
        return _UNCHANGED
    if isinstance(user, str):
        with suppress(KeyError, ValueError):
            return pwd.getpwnam(user).pw_uid
    return _number("user", user)


def _find_group(group: str | int | None) -> int:
    if group is None or group == "":
        return _UNCHANGED
    if isinstance(group, str):
        with suppress(KeyError, ValueError):
            return grp.getgrnam(group).gr_gid
    return _number("group", group)


def _number(argument: str, value: str | int) -> int:
    """Read what is no name as a number."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_LAST_ID))):
            raise NotFoundError(f"{argument}: {value[:140]!r}: no such {argument}")
        value = int(value)
    if not 0 <= value <= _LAST_ID:
        raise BadRequestError(f"{argument}: {value}: 0 to {_LAST_ID} expected")
    return value


def change_mode(path: str, mode: int, *, recursive: bool, stopped: Stopped) -> None:
    """Change permissions, of everything in a tree if `recursive`.

    Raises:
        NotAcceptableError: `recursive`, and the path is that of a link.
        CommandError: it cannot be done; in a tree, what came before is done.
    """
    with refusing("path", path):
        if not recursive:
            os.chmod(path, mode)
            return
        with place("path", path) as found:
            if stat.S_ISLNK(_status(found.at, found.name).st_mode):
                raise NotAcceptableError(
                    f"path: {path}: it is a symbolic link; recursive needs the path it names"
                )
            _change(found, _ModeChange(mode), stopped)


def change_owner(path: str, owner: Owner, *, recursive: bool, stopped: Stopped) -> None:
    """Change user and group, of everything in a tree if `recursive`.

    Raises:
        CommandError: it cannot be done; in a tree, what came before is done.
    """
    with refusing("path", path):
        if not recursive:
            os.chown(path, owner.uid, owner.gid)
            return
        with place("path", path) as found:
            _status(found.at, found.name)
            _change(found, _OwnerChange(owner), stopped)


def _change(found: Place, visitor: Visitor, stopped: Stopped) -> None:
    if stat.S_ISDIR(_status(found.at, found.name).st_mode):
        walk(found, visitor, stopped)
    else:
        visitor.visit(found.at, found.name)


class _ModeChange:
    """Visits a tree whose permissions are changed."""

    def __init__(self, mode: int) -> None:
        self._mode = mode

    def enter(self, at: int, name: str) -> bool:
        # Whoever may not look into the directory now does so with the rights that it is to get.
        with suppress(FileNotFoundError):
            if _status(at, name).st_mode & _MAY_BE_LISTED != _MAY_BE_LISTED:
                set_mode(at, name, self._mode | _ALL_FOR_OWNER)
        return True

    def leave(self, at: int, name: str) -> None:
        self.visit(at, name)

    def visit(self, at: int, name: str) -> None:
        with suppress(FileNotFoundError):
            set_mode(at, name, self._mode)


class _OwnerChange:
    """Visits a tree whose owner is changed."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def enter(self, at: int, name: str) -> bool:
        return True

    def leave(self, at: int, name: str) -> None:
        self.visit(at, name)

    def visit(self, at: int, name: str) -> None:
        with suppress(FileNotFoundError):
            os.chown(name, self._owner.uid, self._owner.gid, dir_fd=at, follow_symlinks=False)


def set_mode(at: int, name: str, mode: int) -> None:
    """Change permissions of what has a name in a directory; a link stays as it is.

    fchmodat(2) always follows links. A descriptor that only names the file is none to a link
    either, and opens no device.

    Raises:
        OSError: it cannot be done.
    """
    named = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        if not stat.S_ISLNK(os.fstat(named).st_mode):
            os.chmod(f"/proc/self/fd/{named}", mode)
    finally:
        os.close(named)


def _status(at: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=at, follow_symlinks=False)
