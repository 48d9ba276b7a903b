"""Removing a file, or a directory with all that is in it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from corex_node.builtins.files.mounts import mounts_within
from corex_node.builtins.files.place import Place, parted, place
from corex_node.builtins.files.refusal import refusing, shown
from corex_node.builtins.files.walk import Stopped, walk
from corex_shared.errors import ForbiddenError

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


class _Removal:
    """Visits a tree that is removed."""

    def enter(self, at: int, name: str) -> bool:
        # One that is empty need not be entered, which might not be allowed.
        try:
            os.rmdir(name, dir_fd=at)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            self.visit(at, name)
            return False
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            return True
        return False

    def leave(self, at: int, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=at)
        except FileNotFoundError:
            pass
        except NotADirectoryError as error:
            raise _replaced() from error

    def visit(self, at: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=at)
        except FileNotFoundError:
            pass
        except IsADirectoryError as error:
            raise _replaced() from error


def _replaced() -> OSError:
    return OSError(errno.EBUSY, "it was replaced meanwhile")


def remove(path: str, stopped: Stopped) -> None:
    """Remove what is at a path; nothing there is no error. A link itself is removed.

    Raises:
        ForbiddenError: the root directory, or there are mount points in it: nothing was removed.
        BadRequestError: the path does not end with a name.
        CommandError: something cannot be removed; what came before it is.
    """
    refuse_mounts("path", path)
    with refusing("path", path), suppress(FileNotFoundError), place("path", path) as found:
        remove_at(found, stopped)


def remove_at(found: Place, stopped: Stopped) -> None:
    """Remove what is at a place.

    Raises:
        OSError: something cannot be removed.
        CommandError: it was stopped.
    """
    status = os.stat(found.name, dir_fd=found.at, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        walk(found, _Removal(), stopped, one_file_system=True)
    else:
        os.unlink(found.name, dir_fd=found.at)


def refuse_mounts(argument: str, path: str) -> None:
    """See that nothing is mounted at a path or below it.

    Raises:
        ForbiddenError: something is, or it is the root directory.
        BadRequestError: the path does not end with a name.
    """
    folder, name = parted(argument, path)
    with refusing(argument, path):
        points = mounts_within(os.path.join(os.path.realpath(folder), name))
    if points:
        raise ForbiddenError(f"{argument}: {shown(points[0])}: it is a mount point")
