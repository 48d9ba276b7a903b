"""Copying a tree as it is: contents, links, devices, owners, permissions, times, attributes.

Files that share their content (hard links) do not share it afterwards, and holes are filled.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from corex_node.builtins.files.permissions import set_mode
from corex_node.builtins.files.place import DIRECTORY, PASSAGE, Place
from corex_node.builtins.files.walk import Stopped, check_stopped, walk
from corex_shared.errors import ConflictError

_CHUNK = 1024 * 1024
_PRIVATE = 0o700
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_RIGHT = (errno.EPERM, errno.EINVAL)
_NO_ATTRIBUTES = (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODATA)


def copy(source: Place, target: Place, stopped: Stopped) -> None:
    """Copy what is at a place to another, where nothing is yet; it is on disk afterwards.

    Raises:
        OSError: it cannot be copied; a part may be there.
        CommandError: it was stopped; a part may be there.
    """
    copier = _Copier(target, stopped)
    try:
        if stat.S_ISDIR(_status(source.at, source.name).st_mode):
            walk(source, copier, stopped)
        else:
            copier.visit(source.at, source.name)
    finally:
        copier.close()


class _Copier:
    """Visits the tree that is copied.

    What it makes is its owner's alone until the copy is complete, so that nobody leads it astray
    there.
    """

    def __init__(self, target: Place, stopped: Stopped) -> None:
        self._target = target
        self._stopped = stopped
        self._to = os.dup(target.at)  # where the next copies go
        self._depth = 0

    def close(self) -> None:
        os.close(self._to)

    def enter(self, at: int, name: str) -> bool:
        name = self._named(name)
        os.mkdir(name, _PRIVATE, dir_fd=self._to)
        made = os.open(name, DIRECTORY, dir_fd=self._to)
        os.close(self._to)
        self._to = made
        self._depth += 1
        return True

    def leave(self, at: int, name: str) -> None:
        # Up first: what the copy is to allow may not allow that.
        self._depth -= 1
        done = self._to
        self._to = os.open("..", DIRECTORY if self._depth else PASSAGE, dir_fd=done)
        try:
            source = os.open(name, DIRECTORY, dir_fd=at)
            try:
                _copy_status(source, done)
                os.fsync(done)
            finally:
                os.close(source)
        finally:
            os.close(done)

    def visit(self, at: int, name: str) -> None:
        status = _status(at, name)
        if stat.S_ISREG(status.st_mode):
            self._copy_file(at, name)
        elif stat.S_ISLNK(status.st_mode):
            named = self._named(name)
            os.symlink(os.readlink(name, dir_fd=at), named, dir_fd=self._to)
            _chown(self._to, named, status)
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(named, ns=times, dir_fd=self._to, follow_symlinks=False)
        else:
            named = self._named(name)
            os.mknod(named, status.st_mode, status.st_rdev, dir_fd=self._to)
            _chown(self._to, named, status)
            set_mode(self._to, named, stat.S_IMODE(status.st_mode))

    def _named(self, name: str) -> str:
        return name if self._depth else self._target.name

    def _copy_file(self, at: int, name: str) -> None:
        source = os.open(name, _READ, dir_fd=at)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                raise ConflictError(f"path: {name}: it was replaced meanwhile")
            target = os.open(self._named(name), _NEW, _PRIVATE, dir_fd=self._to)
            try:
                self._copy_content(source, target)
                _copy_status(source, target)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy_content(self, source: int, target: int) -> None:
        while chunk := os.read(source, _CHUNK):
            left = memoryview(chunk)
            while left:
                check_stopped(self._stopped)
                left = left[os.write(target, left) :]


def _copy_status(source: int, target: int) -> None:
    """Give a copy owner, attributes, permissions and times, as far as the agent may."""
    status = os.fstat(source)
    mode = stat.S_IMODE(status.st_mode)
    try:
        os.chown(target, status.st_uid, status.st_gid)
    except OSError as error:
        if error.errno not in _NO_RIGHT:
            raise
        mode &= ~(stat.S_ISUID | stat.S_ISGID)  # not with the rights of somebody else
    _copy_attributes(source, target)
    os.chmod(target, mode)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_attributes(source: int, target: int) -> None:
    """Copy extended attributes, access lists among them; those that cannot be are left out."""
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        return
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise


def _chown(at: int, name: str, status: os.stat_result) -> None:
    with suppress(PermissionError):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=at, follow_symlinks=False)


def _status(at: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=at, follow_symlinks=False)
