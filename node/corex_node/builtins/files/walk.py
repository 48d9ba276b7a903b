"""Visiting everything in a directory, whatever is done to it meanwhile.

Each step goes from an open directory to a name in it and refuses links, so that nobody who may
write to the tree can lead the walk out of it. No more than a few descriptors are open at a time,
however deep the tree is: the way back up is `..`, which must be where the walk came from.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from corex_node.builtins.files.place import DIRECTORY, PASSAGE, Place
from corex_node.builtins.files.refusal import shown
from corex_shared.errors import CommandError, ConflictError

Stopped: TypeAlias = Callable[[], bool]
"""Whether nobody waits any more for what is being done."""

_Identity: TypeAlias = tuple[int, int]
_NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)


class Visitor(Protocol):
    """What is done to a tree: each method gets an open directory and a name in it."""

    def enter(self, at: int, name: str) -> bool:
        """Meet a directory; false when what is in it is not to be visited."""

    def leave(self, at: int, name: str) -> None:
        """Meet a directory again, after everything in it."""

    def visit(self, at: int, name: str) -> None:
        """Meet what is no directory: a file, a link, a device."""


class _Level(Struct):
    """A directory on the way down.

    Attributes:
        name: in the one above.
        above: which that is.
        pending: directories in it that are still to be visited.
    """

    name: str
    above: _Identity
    pending: list[str]


def check_stopped(stopped: Stopped) -> None:
    """Go on only while somebody waits.

    Raises:
        CommandError: nobody does.
    """
    if stopped():
        raise CommandError("stopped")


def walk(
    start: Place, visitor: Visitor, stopped: Stopped, *, one_file_system: bool = False
) -> None:
    """Visit a directory and everything in it, contents before their directory is left.

    What vanishes meanwhile is passed over.

    Args:
        start: the directory.
        visitor: does the work.
        stopped: asked before every step.
        one_file_system: whether a directory on another one is an error.

    Raises:
        CommandError: it was stopped.
        ConflictError: a directory was moved while the walk was in it.
        OSError: something cannot be done; its `filename` begins with the path of the start.
    """
    _Walk(start, visitor, stopped, one_file_system).run()


class _Walk:
    """One walk; `_at` is the directory that it is in."""

    def __init__(
        self, start: Place, visitor: Visitor, stopped: Stopped, one_file_system: bool
    ) -> None:
        self._start = start
        self._visitor = visitor
        self._stopped = stopped
        self._one_file_system = one_file_system
        self._device: int | None = None
        self._levels: list[_Level] = []
        self._name = start.name
        self._at = -1

    def run(self) -> None:
        self._at = os.dup(self._start.at)
        try:
            self._down(self._start.name)
            while self._levels:
                check_stopped(self._stopped)
                pending = self._levels[-1].pending
                if pending:
                    self._down(pending.pop())
                else:
                    self._up()
        except OSError as error:
            error.filename = self._where()
            raise
        finally:
            os.close(self._at)

    def _where(self) -> str:
        """The path of what is being done; without a name, of the directory that it is done in."""
        names = [*(level.name for level in self._levels), self._name]
        return "/".join([self._start.path, *(name for name in names[1:] if name)])

    def _down(self, name: str) -> None:
        """Enter a directory, visit what is in it, note the directories among it."""
        self._name = name
        if not self._visitor.enter(self._at, name):
            return
        try:
            below = os.open(name, DIRECTORY, dir_fd=self._at)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            self._visitor.visit(self._at, name)  # it was one a moment ago
            return
        above, self._at = self._at, below
        try:
            self._check_device()
            self._levels.append(_Level(name, _identity(above), []))
        finally:
            os.close(above)
        self._name = ""
        self._visit_contents()

    def _check_device(self) -> None:
        device = os.fstat(self._at).st_dev
        if self._device is None:
            self._device = device
        if self._one_file_system and device != self._device:
            raise OSError(errno.EPERM, "it is on another file system")

    def _visit_contents(self) -> None:
        with os.scandir(self._at) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        pending = self._levels[-1].pending
        for name, is_directory in found:
            check_stopped(self._stopped)
            if is_directory:
                pending.append(name)
            else:
                self._name = name
                self._visitor.visit(self._at, name)

    def _up(self) -> None:
        """Leave a directory for the one above."""
        level = self._levels[-1]
        self._name = ""
        above = os.open("..", PASSAGE, dir_fd=self._at)
        os.close(self._at)
        self._at = above
        if _identity(above) != level.above:
            raise ConflictError(f"path: {shown(self._where())}: it was moved meanwhile")
        self._levels.pop()
        self._name = level.name
        self._visitor.leave(self._at, level.name)


def _identity(descriptor: int) -> _Identity:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
