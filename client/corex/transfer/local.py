"""The files of a transfer on this side. Everything here may block.

What is copied is hashed on its way, in its order. A file that was opened here is closed here; one
that the caller opened is left open. `close` may be called while another thread is at work with the
file, as it is when a coroutine is cancelled: what that thread opens afterwards is closed too.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import stat
from contextlib import suppress
from typing import BinaryIO, TypeAlias

Local: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A path, or a file that is open in binary mode."""

PRIVATE = 0o600
"""Permissions of a file while it is incomplete."""

_NAME_MAX = 255
_O_BINARY: int = getattr(os, "O_BINARY", 0)  # without it Windows changes line ends


def part_name(name: str) -> str:
    """Make a new name for a file while it is incomplete: `<name>.<random>.part`.

    The file's own name is cut where both together were longer than a name may be.
    """
    mark = f".{secrets.token_hex(6)}.part"
    kept = name.encode(errors="surrogateescape")
    if len(kept) + len(mark) > _NAME_MAX:
        name = kept[: _NAME_MAX - len(mark)].decode(errors="ignore")
    return name + mark


def _split(local: Local) -> tuple[str, BinaryIO | None]:
    """Tell a path from a file; a file is named for messages."""
    if isinstance(local, str | os.PathLike):
        return os.fspath(local), None
    name = getattr(local, "name", None)
    return name if isinstance(name, str) else f"<{type(local).__name__}>", local


class LocalSource:
    """What is uploaded.

    Attributes:
        name: its path, or something for messages.
        size: bytes; of a source whose end is not known yet, those that were read so far.
        mode: its permissions, None where it has none.
    """

    def __init__(self, source: Local) -> None:
        """Take a source; it is not opened yet."""
        self.name, self._given = _split(source)
        self._file = self._given
        self._closed = False
        self._before: os.stat_result | None = None
        self._read = 0
        self._hash = hashlib.sha256()
        self.size = 0
        self.mode: int | None = None

    def open(self) -> None:
        """Open it, and find out how long it is.

        Raises:
            OSError: it cannot be opened.
        """
        if self._given is not None:
            self.mode = _mode_of(self._given)
            self.size = _left(self._given)
            return
        self._file = open(self.name, "rb")  # noqa: SIM115 - closed by `close`
        if self._closed:
            self._file.close()
            return
        self._before = os.fstat(self._file.fileno())
        self.mode = self._before.st_mode & 0o777
        self.size = self._before.st_size

    def read(self, size: int) -> bytes:
        """Read the next bytes; fewer than asked for only at the end.

        Raises:
            OSError: it cannot be read.
            TypeError: it is not open in binary mode.
        """
        assert self._file is not None
        pieces: list[bytes] = []
        missing = size
        while missing > 0:
            piece = self._file.read(missing)
            if not isinstance(piece, bytes):
                raise TypeError(f"{self.name}: not a file that is open in binary mode")
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self._hash.update(data)
        self._read += len(data)
        self.size = max(self.size, self._read)
        return data

    def is_changed(self) -> bool:
        """Whether a file that was opened here was changed while it was read.

        Raises:
            OSError: that cannot be told.
        """
        if self._before is None or self._file is None:
            return False
        now, before = os.fstat(self._file.fileno()), self._before
        if not stat.S_ISREG(before.st_mode):
            return False
        return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)

    def digest(self) -> str:
        """SHA-256 of all that was read."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close it; may be called twice."""
        self._closed = True
        if self._given is None and self._file is not None:
            self._file.close()


class LocalTarget:
    """What is downloaded to.

    Attributes:
        name: its path, or something for messages.
    """

    def __init__(self, destination: Local) -> None:
        """Take a destination; nothing is opened yet."""
        self.name, self._given = _split(destination)
        self._file = self._given
        self._closed = False
        self._part = ""
        self._hash = hashlib.sha256()

    def open(self) -> None:
        """Make the file that will take the destination's place; a file of the caller's is used.

        Raises:
            OSError: it cannot be made.
        """
        if self._given is not None:
            return
        folder, name = os.path.split(self.name)
        if not name or os.path.isdir(self.name):
            raise IsADirectoryError(f"{self.name!r}: the path of a file expected")
        part = os.path.join(folder, part_name(name))
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _O_BINARY, PRIVATE)
        self._file = os.fdopen(fd, "wb")
        self._part = part
        if self._closed:
            self._remove_part()

    def write(self, data: bytes) -> None:
        """Write the next bytes.

        Raises:
            OSError: they cannot be written.
        """
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            # None is what a raw file says that takes nothing, and others that take everything.
            written: int | None = self._file.write(rest)
            if written == 0 or (written is None and isinstance(self._file, io.RawIOBase)):
                raise OSError(f"{self.name}: it takes nothing now; a file that blocks is needed")
            rest = rest[len(rest) if written is None else written :]
        self._hash.update(data)

    def digest(self) -> str:
        """SHA-256 of all that was written."""
        return self._hash.hexdigest()

    def finish(self, mode: int) -> None:
        """Put the file, which is complete, in the destination's place.

        Args:
            mode: its permissions; a file of the caller's keeps its own.

        Raises:
            OSError: it cannot be put there.
        """
        assert self._file is not None
        self._file.flush()
        if self._given is not None:
            return
        os.fsync(self._file.fileno())
        self._file.close()
        os.chmod(self._part, mode)
        os.replace(self._part, self.name)
        self._part = ""

    def close(self) -> None:
        """Close it, and remove what is incomplete; may be called twice."""
        self._closed = True
        self._remove_part()

    def _remove_part(self) -> None:
        if self._given is None and self._file is not None:
            with suppress(OSError):  # what could not be written is of no use
                self._file.close()
        if self._part:
            with suppress(OSError):
                os.unlink(self._part)
            self._part = ""


def _mode_of(file: BinaryIO) -> int | None:
    try:
        mode = os.fstat(file.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    return mode & 0o777 if stat.S_ISREG(mode) else None


def _left(file: BinaryIO) -> int:
    """Bytes from where a file stands to its end; 0 when that cannot be told."""
    try:
        if not file.seekable():
            return 0
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return 0
    return max(0, end - here)
