"""Files of a node in memory, and the commands with which clients work with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import posixpath
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from corex.testing.store import now_ms
from corex_shared.errors import BadRequestError, ConflictError, NotFoundError

_MODES = frozenset(sign + plus for sign in "rwax" for plus in ("", "+"))
_BLOCK = 512 * 1024


class _File:
    """A file; whoever has it open keeps it, whatever becomes of its name."""

    def __init__(self, data: bytes = b"", mode: int = 0o644) -> None:
        self.data = bytearray(data)
        self.mode = mode
        self.mtime = now_ms()


class _Open:
    """A file that is open."""

    def __init__(self, file: _File, mode: str) -> None:
        self.file = file
        self.reads = "r" in mode or "+" in mode
        self.writes = mode != "r"
        self.appends = "a" in mode
        self.place = 0


class MemoryFiles(MutableMapping[str, bytes]):
    """The files of a node: path → content.

    A test puts files there and looks at them; `node.fs` of the client works with the same. Folders
    are there as soon as something is in them: nothing fails because one is missing.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._files: dict[str, _File] = {}
        self._folders: set[str] = {"/"}
        self._open: dict[str, _Open] = {}
        self._numbers = itertools.count(1)

    def __getitem__(self, path: str) -> bytes:
        return bytes(self._files[_normal(path)].data)

    def __setitem__(self, path: str, content: bytes) -> None:
        self._files[_normal(path)] = _File(content)

    def __delitem__(self, path: str) -> None:
        del self._files[_normal(path)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._files))

    def __len__(self) -> int:
        return len(self._files)

    def mode(self, path: str) -> int:
        """The permissions of a file.

        Raises:
            KeyError: there is none.
        """
        return self._files[_normal(path)].mode

    # -- commands -----------------------------------------------------------------------------

    def open(self, file: str, mode: str | None = None, perm: int | str | None = None) -> str:
        """Open a file; return its descriptor."""
        mode, path = mode or "r", _normal(file)
        if mode not in _MODES:
            raise BadRequestError(f"mode: {mode}: r, w, a or x is wanted, with or without +")
        if self._is_folder(path):
            raise ConflictError(f"file: {file}: it is a directory")
        found = self._files.get(path)
        if found is None and mode.startswith("r"):
            raise NotFoundError(f"file: {file}: it does not exist")
        if found is not None and mode.startswith("x"):
            raise ConflictError(f"file: {file}: it exists already")
        if found is None:
            number = int(perm, 8) if isinstance(perm, str) else perm
            found = self._files[path] = _File(mode=0o644 if number is None else number)
        elif mode.startswith("w"):
            found.data.clear()
        fd = f"memory-{next(self._numbers)}"
        self._open[fd] = _Open(found, mode)
        return fd

    def read(self, fd: str, size: int | None = None, offset: int | None = None) -> str:
        """Read a block, as base64."""
        opened = self._opened(fd)
        if not opened.reads:
            raise BadRequestError(f"fd: {fd}: it is not open for reading")
        start = opened.place if offset is None else offset
        block = bytes(opened.file.data[start : start + (size or _BLOCK)])
        if offset is None:
            opened.place += len(block)
        return base64.b64encode(block).decode()

    def write(self, fd: str, block: str, offset: int | None = None) -> None:
        """Write a block of base64."""
        opened = self._opened(fd)
        if not opened.writes:
            raise BadRequestError(f"fd: {fd}: it is not open for writing")
        try:
            data = base64.b64decode(block, validate=True)
        except binascii.Error as error:
            raise BadRequestError(f"block: {error}") from error
        content = opened.file.data
        start = opened.place if offset is None else offset
        if opened.appends:
            start = len(content)
        if start > len(content):
            content.extend(bytes(start - len(content)))
        content[start : start + len(data)] = data
        opened.file.mtime = now_ms()
        if offset is None:
            opened.place = start + len(data)

    def close(self, fd: str) -> None:
        """Close a file; one that is not open counts as closed."""
        self._open.pop(fd, None)

    def close_all(self) -> None:
        """Close what is open: the node has died."""
        self._open.clear()

    def exists(self, path: str) -> bool:
        """Tell whether there is something at a path."""
        return _normal(path) in self._files or self._is_folder(_normal(path))

    def entries(self, path: str) -> list[dict[str, Any]]:
        """List a folder by name."""
        folder = _normal(path)
        if not self._is_folder(folder):
            raise NotFoundError(f"path: {path}: there is no such directory")
        prefix = folder.rstrip("/") + "/"
        below = [name.removeprefix(prefix) for name in self._all() if name.startswith(prefix)]
        names = sorted({name.partition("/")[0] for name in below if name})
        return [{"name": name, **self._entry(prefix + name)} for name in names]

    def mkdir(self, path: str) -> None:
        """Make a folder."""
        if _normal(path) in self._files:
            raise ConflictError(f"path: {path}: it is a file")
        self._folders.add(_normal(path))

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with what is in it; what is not there counts as removed."""
        for name in self._at_or_below(path):
            self._files.pop(name, None)
            self._folders.discard(name)

    def move(self, path: str, destination: str) -> None:
        """Move a file, or a folder with all that is in it."""
        self._must_exist(path)
        old, new = _normal(path), _normal(destination)
        for name in self._at_or_below(path):
            target = new + name.removeprefix(old)
            if name in self._files:
                self._files[target] = self._files.pop(name)
            else:
                self._folders.discard(name)
                self._folders.add(target)

    def chmod(self, path: str, mode: int | str, recursive: bool = False) -> None:
        """Change permissions."""
        self._must_exist(path)
        number = int(mode, 8) if isinstance(mode, str) else mode
        for name in self._at_or_below(path) if recursive else [_normal(path)]:
            if name in self._files:
                self._files[name].mode = number

    def chown(
        self,
        path: str,
        user: str | int | None = None,
        group: str | int | None = None,
        recursive: bool = False,
    ) -> None:
        """Change nothing: files in memory have no owner."""
        del user, group, recursive
        self._must_exist(path)

    def stat(self, path: str) -> dict[str, Any]:
        """Tell what is known of a file or a folder."""
        self._must_exist(path)
        file = self._files.get(_normal(path))
        mtime = file.mtime if file is not None else 0
        more = {"is_link": False, "mtime": mtime, "user": "root", "group": "root"}
        return {**self._entry(_normal(path)), **more}

    def checksum(self, path: str, algorithm: str = "sha256") -> str:
        """Tell the checksum of a file's content."""
        file = self._files.get(_normal(path))
        if file is None:
            raise NotFoundError(f"path: {path}: it does not exist")
        try:
            return hashlib.new(algorithm, bytes(file.data)).hexdigest()
        except ValueError as error:
            raise BadRequestError(f"algorithm: {algorithm}: there is none of that name") from error

    # -- help ---------------------------------------------------------------------------------

    def _opened(self, fd: str) -> _Open:
        if fd not in self._open:
            raise NotFoundError(f"fd: {fd}: no such descriptor")
        return self._open[fd]

    def _all(self) -> list[str]:
        return [*self._files, *self._folders]

    def _at_or_below(self, path: str) -> list[str]:
        top = _normal(path)
        return [
            name for name in self._all() if name == top or name.startswith(top.rstrip("/") + "/")
        ]

    def _is_folder(self, path: str) -> bool:
        return path in self._folders or any(
            name.startswith(path.rstrip("/") + "/") for name in self._all()
        )

    def _must_exist(self, path: str) -> None:
        if not self.exists(path):
            raise NotFoundError(f"path: {path}: it does not exist")

    def _entry(self, path: str) -> dict[str, Any]:
        file = self._files.get(path)
        if file is None:
            return {"size": 0, "mode": 0o755, "is_dir": True}
        return {"size": len(file.data), "mode": file.mode, "is_dir": False}


def _normal(path: str) -> str:
    return posixpath.normpath(path)


FILE_COMMANDS: dict[str, Callable[..., Any]] = {
    "filesystem.checksum": MemoryFiles.checksum,
    "filesystem.chmod": MemoryFiles.chmod,
    "filesystem.chown": MemoryFiles.chown,
    "filesystem.close": MemoryFiles.close,
    "filesystem.exists": MemoryFiles.exists,
    "filesystem.list": MemoryFiles.entries,
    "filesystem.mkdir": MemoryFiles.mkdir,
    "filesystem.move": MemoryFiles.move,
    "filesystem.open": MemoryFiles.open,
    "filesystem.read": MemoryFiles.read,
    "filesystem.remove": MemoryFiles.remove,
    "filesystem.stat": MemoryFiles.stat,
    "filesystem.write": MemoryFiles.write,
}
"""By name; each is called with the files and the command's arguments."""


def call_file_command(name: str, files: MemoryFiles, arguments: Mapping[str, Any]) -> Any:
    """Do what a command asks.

    Raises:
        CommandError: it cannot be done.
    """
    try:
        return FILE_COMMANDS[name](files, **arguments)
    except TypeError as error:  # an argument too many, too few, or of a wrong type
        raise BadRequestError(str(error)) from error
