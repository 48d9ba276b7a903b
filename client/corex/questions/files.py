"""The files of a node: `filesystem.*`."""

from __future__ import annotations

import binascii
from typing import Any, TypeAlias

from msgspec import Struct

from corex.ask import Question, read_nothing, reader
from corex_shared.models import Count

BLOCK = 512 * 1024
"""Bytes that are read or written by one command, at most."""

Owner: TypeAlias = str | int | None
"""Name or number of a user or a group; None leaves it as it is."""
Data: TypeAlias = bytes | bytearray | memoryview


class FileEntry(Struct, frozen=True):
    """One entry of a directory.

    Attributes:
        name: within the directory.
        size: bytes.
        mode: permissions, the last nine bits.
        is_dir: whether it is a directory.
    """

    name: str
    size: Count
    mode: int
    is_dir: bool


class FileStat(Struct, frozen=True):
    """What is known of one file.

    Attributes:
        size: bytes.
        mode: permissions, the last twelve bits.
        is_dir: whether it is a directory.
        is_link: whether the path itself is a symbolic link.
        mtime: when it was last changed, in ms since the epoch.
        user: its owner.
        group: its group.
    """

    size: Count
    mode: int
    is_dir: bool
    is_link: bool = False
    mtime: int = 0
    user: str = ""
    group: str = ""


FileEntries: TypeAlias = list[FileEntry]

_text = reader(str)
_flag = reader(bool)
_data = reader(bytes)  # base64, as JSON has no bytes
_stat = reader(FileStat)
_entries = reader(FileEntries)


def _do(name: str, **arguments: Any) -> Question[None]:
    return Question(f"filesystem.{name}", read_nothing, arguments)


def open_file(path: str, mode: str, perm: int | None) -> Question[str]:
    """Open a file; answers a descriptor."""
    return Question("filesystem.open", _text, {"file": path, "mode": mode, "perm": perm})


def read_file(fd: str, size: int | None, offset: int | None) -> Question[bytes]:
    """Read from a descriptor; answers nothing at the end."""
    arguments = {"fd": fd, "size": size, "offset": offset}
    return Question("filesystem.read", _data, arguments, bulky=True)


def write_file(fd: str, data: Data, offset: int | None) -> Question[None]:
    """Write to a descriptor."""
    block = binascii.b2a_base64(data, newline=False).decode()
    return _do("write", fd=fd, block=block, offset=offset)


def close_file(fd: str) -> Question[None]:
    """Close a descriptor; one that is not known counts as closed."""
    return _do("close", fd=fd)


def path_exists(path: str) -> Question[bool]:
    """Ask whether there is something at a path."""
    return Question("filesystem.exists", _flag, {"path": path})


def list_directory(path: str) -> Question[FileEntries]:
    """List a directory by name."""
    return Question("filesystem.list", _entries, {"path": path})


def make_directory(path: str) -> Question[None]:
    """Make a directory, with its parents."""
    return _do("mkdir", path=path)


def remove_path(path: str) -> Question[None]:
    """Remove a file, or a directory with all that is in it."""
    return _do("remove", path=path)


def move_path(path: str, destination: str) -> Question[None]:
    """Move something."""
    return _do("move", path=path, destination=destination)


def change_mode(path: str, mode: int, *, recursive: bool = False) -> Question[None]:
    """Change permissions."""
    return _do("chmod", path=path, mode=mode, recursive=recursive)


def change_owner(
    path: str, user: Owner, group: Owner, *, recursive: bool = False
) -> Question[None]:
    """Change owner, group or both."""
    return _do("chown", path=path, user=user, group=group, recursive=recursive)


def stat_path(path: str) -> Question[FileStat]:
    """Ask what is known of a file."""
    return Question("filesystem.stat", _stat, {"path": path})


def checksum_file(path: str, algorithm: str) -> Question[str]:
    """Ask for the checksum of a file's content, in hexadecimal."""
    return Question("filesystem.checksum", _text, {"path": path, "algorithm": algorithm})
