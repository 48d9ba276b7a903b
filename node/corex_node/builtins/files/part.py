"""What is not complete yet: it stands beside its place, under another name."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress

from corex_node.builtins.files.place import PASSAGE, parted
from corex_node.builtins.files.refusal import refusing
from corex_shared.errors import NotAcceptableError

_LONGEST = 255  # NAME_MAX
_RANDOM_BYTES = 8
_NEW_MODE = 0o644
_PERMISSIONS = 0o777
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def part_name(name: str) -> str:
    """Make a new name that nobody can guess: `<name>.<random>.part`.

    The name itself is cut where both together were longer than a name may be.
    """
    mark = f".{secrets.token_hex(_RANDOM_BYTES)}.part"
    kept = os.fsencode(name)[: _LONGEST - len(mark)].decode("utf-8", "ignore")
    return kept + mark


def sync_names(at: int) -> None:
    """Have the names in a directory written to disk, as far as the agent may."""
    try:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
    except PermissionError:
        return
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class PartFile:
    """A new file for a destination. `finish` or `discard` it, from the thread that writes to it."""

    def __init__(self, argument: str, destination: str) -> None:
        """Open it, in the destination's directory.

        Args:
            argument: that named the destination.
            destination: path; a file that is there is replaced, and so is a link itself.

        Raises:
            NotFoundError: there is no such directory.
            BadRequestError: the destination is a directory, or does not end with a name.
            NotAcceptableError: the destination is a device, a pipe or a socket.
            CommandError: no file can be made there.
        """
        self._argument = argument
        self._destination = destination
        mode = check_destination(argument, destination)
        folder, self._name = parted(argument, destination)
        self._part = part_name(self._name)
        with refusing(argument, destination):
            self._at = os.open(folder, PASSAGE)
            try:
                self._number = os.open(self._part, _NEW, mode or _NEW_MODE, dir_fd=self._at)
            except BaseException:
                os.close(self._at)
                raise
            if mode is not None:
                os.chmod(self._number, mode)

    def write(self, data: bytes) -> None:
        """Add to it.

        Raises:
            CommandError: it cannot be written.
        """
        left = memoryview(data)
        with refusing(self._argument, self._destination):
            while left:
                left = left[os.write(self._number, left) :]

    def sync(self) -> None:
        """Have all of it written to disk.

        Raises:
            CommandError: that did not work.
        """
        with refusing(self._argument, self._destination):
            os.fsync(self._number)

    def finish(self) -> None:
        """Have it take its destination's place.

        Raises:
            CommandError: it cannot; it is discarded then.
        """
        try:
            with refusing(self._argument, self._destination):
                os.rename(self._part, self._name, src_dir_fd=self._at, dst_dir_fd=self._at)
        except BaseException:
            self.discard()
            raise
        self._close()

    def discard(self) -> None:
        """Remove it."""
        with suppress(OSError):
            os.unlink(self._part, dir_fd=self._at)
        self._close()

    def _close(self) -> None:
        with suppress(OSError):
            os.close(self._number)
        with suppress(OSError):
            os.close(self._at)


def check_destination(argument: str, destination: str) -> int | None:
    """See that a file may be put at a path.

    Returns:
        Permissions of the file that is there, None when there is none.

    Raises:
        NotFoundError: its directory is not there.
        BadRequestError: it is a directory, or does not end with a name.
        NotAcceptableError: it is a device, a pipe or a socket.
        CommandError: that cannot be found out.
    """
    folder, _ = parted(argument, destination)
    with refusing(argument, destination):
        try:
            mode = os.stat(destination).st_mode
        except FileNotFoundError:
            with refusing(argument, folder):
                os.stat(folder)
            return None
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise NotAcceptableError(f"{argument}: {destination}: it is no regular file")
    return mode & _PERMISSIONS
