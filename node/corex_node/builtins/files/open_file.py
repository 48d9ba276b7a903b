"""Files that commands read and write."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from corex_node.builtins.files.open_mode import OpenMode
from corex_node.builtins.files.refusal import refusal, refusing
from corex_shared.errors import BadRequestError, NotAcceptableError

MOST = 512 * 1024
"""Bytes that are read at once."""

# A terminal stays whosever it is, and neither a device nor a pipe makes a thread wait.
_CAREFULLY = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class OpenFile:
    """One open file. Not to be used by two threads at once."""

    def __init__(self, path: str, mode: OpenMode, perm: int) -> None:
        """Open it.

        Args:
            path: of a regular file or a device; links are followed.
            mode: how.
            perm: permissions of a new file, less the agent's umask.

        Raises:
            NotAcceptableError: there is a pipe or a socket.
            CommandError: it cannot be opened.
        """
        self._path = path
        self._mode = mode
        self._number = open_carefully("file", path, mode.flags, perm)
        self._is_regular = stat.S_ISREG(os.fstat(self._number).st_mode)

    def read(self, size: int, offset: int | None = None) -> bytes:
        """Read the next bytes, or those at an offset; what follows is read from there on.

        Args:
            size: bytes at most. A regular file has fewer only before its end.
            offset: bytes from the beginning of the file.

        Returns:
            What there is; nothing at the end.

        Raises:
            NotAcceptableError: the file is not open for reading, or has no places.
            ServiceUnavailableError: a device has nothing to read now.
            CommandError: it cannot be read.
        """
        if not self._mode.reads:
            raise NotAcceptableError(f"fd: {self._path}: it is not open for reading")
        self._seek(offset)
        parts: list[bytes] = []
        while size:
            try:
                part = os.read(self._number, size)
            except OSError as error:
                if parts:
                    break  # the next call meets it again
                raise refusal("fd", self._path, error) from error
            parts.append(part)
            size -= len(part)
            if not part or not self._is_regular:
                break
        return b"".join(parts)

    def write(self, data: bytes, offset: int | None = None) -> None:
        """Write all bytes at the current place, or at an offset; what follows comes behind them.

        Args:
            data: what to write.
            offset: bytes from the beginning of the file.

        Raises:
            NotAcceptableError: the file is not open for writing, or has no places.
            BadRequestError: an offset in a file that is open for appending.
            CommandError: not all of it could be written; tells how much was. The file stays open.
        """
        if not self._mode.writes:
            raise NotAcceptableError(f"fd: {self._path}: it is not open for writing")
        if offset is not None and self._mode.appends:
            raise BadRequestError(f"offset: {self._path}: it is open for appending")
        self._seek(offset)
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._number, left) :]
            except OSError as error:
                written = len(data) - len(left)
                what = f"{self._path}: {written} of {len(data)} bytes were written"
                raise refusal("fd", what, error) from error

    def close(self) -> None:
        """Close it, once.

        Raises:
            CommandError: what was written before may not have arrived; it is closed all the same.
        """
        with refusing("fd", self._path):
            os.close(self._number)

    def _seek(self, offset: int | None) -> None:
        if offset is not None:
            with refusing("offset", f"{offset} in {self._path}"):
                os.lseek(self._number, offset, os.SEEK_SET)


def open_carefully(argument: str, path: str, flags: int, perm: int = 0) -> int:
    """Open a regular file or a device without ever waiting for somebody at its other end.

    Args:
        argument: that named it.
        path: of the file; links are followed.
        flags: for open(2).
        perm: permissions of a new file.

    Raises:
        NotAcceptableError: there is a pipe or a socket.
        CommandError: it cannot be opened.
    """
    # Seen first: even opening a pipe would be noticed at its other end.
    with suppress(OSError):
        _refuse_kinds(argument, path, os.stat(path).st_mode)
    with refusing(argument, path):
        number = os.open(path, flags | _CAREFULLY, perm)
    try:
        _refuse_kinds(argument, path, os.fstat(number).st_mode)
    except BaseException:
        os.close(number)
        raise
    return number


def _refuse_kinds(argument: str, path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        error = OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise refusal(argument, path, error) from None
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket"
        raise NotAcceptableError(f"{argument}: {path}: it is {kind}, not a file")
