"""`filesystem.*`: files of the node, as bytes in base64.

A relative path is one in the agent's working directory. What takes long looks whether its job was
ended, and stops.
"""

from __future__ import annotations

import binascii
from typing import Annotated

from msgspec import Meta, Struct

from corex_node.builtins.files import checksum, directories, listing, moving, permissions, removal
from corex_node.builtins.files.descriptors import DescriptorTable
from corex_node.builtins.files.open_file import MOST
from corex_node.builtins.files.open_mode import parse_open_mode
from corex_node.builtins.files.place import checked
from corex_node.manager.context import Context
from corex_node.manager.registry import Registry
from corex_shared.errors import BadRequestError

_LAST_OFFSET = 2**63 - 1
Offset = Annotated[int, Meta(ge=0, le=_LAST_OFFSET)]
ReadSize = Annotated[int, Meta(ge=1, le=MOST)]

_LINE_ENDS = str.maketrans("", "", "\r\n")


class OpenArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.open`.

    Attributes:
        file: path.
        mode: exactly one of r, w, a, x, with a + for reading and writing.
        perm: permissions of a new file, less the agent's umask: a number, or octal digits as text.
    """

    file: str
    mode: str | None = None
    perm: int | str | None = None


class ReadArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.read`.

    Attributes:
        fd: what `filesystem.open` answered.
        size: bytes at most; 512 KiB when None.
        offset: bytes from the beginning of the file; on from the last place when None.
    """

    fd: str
    size: ReadSize | None = None
    offset: Offset | None = None


class WriteArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.write`.

    Attributes:
        fd: what `filesystem.open` answered.
        block: base64, with line ends anywhere.
        offset: bytes from the beginning of the file; on from the last place when None.
    """

    fd: str
    block: str
    offset: Offset | None = None


class DescriptorArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command about a descriptor."""

    fd: str


class PathArguments(Struct, forbid_unknown_fields=True):
    """Arguments of a command about a path."""

    path: str


class MoveArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.move`: the path that it is to have."""

    path: str
    destination: str


class ModeArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.chmod`: permissions as a number, or octal digits as text."""

    path: str
    mode: int | str
    recursive: bool | None = None


class OwnerArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.chown`: names or numbers; one that is not given stays."""

    path: str
    user: str | int | None = None
    group: str | int | None = None
    recursive: bool | None = None


class ChecksumArguments(Struct, forbid_unknown_fields=True):
    """Arguments of `filesystem.checksum`."""

    path: str
    algorithm: str | None = None


_NEW_FILE = 0o644


def register(registry: Registry, descriptors: DescriptorTable) -> None:
    """Add the commands to a registry.

    Args:
        registry: which gets them.
        descriptors: of the files that are open.
    """

    @registry.command("filesystem.open", OpenArguments)
    def open_file(context: Context, arguments: OpenArguments) -> str:
        """Open a file; answer a descriptor for it."""
        perm = _NEW_FILE if arguments.perm is None else arguments.perm
        opened = descriptors.open(
            checked("file", arguments.file),
            parse_open_mode("r" if arguments.mode is None else arguments.mode),
            permissions.parse_mode("perm", perm),
        )
        if context.cancelled:  # nobody will hear of it
            descriptors.close(opened)
        return opened

    @registry.command("filesystem.read", ReadArguments)
    def read(arguments: ReadArguments) -> str:
        """Read from a descriptor; answer base64, empty at the end."""
        with descriptors.using(arguments.fd) as file:
            data = file.read(arguments.size or MOST, arguments.offset)
        return binascii.b2a_base64(data, newline=False).decode()

    @registry.command("filesystem.write", WriteArguments)
    def write(arguments: WriteArguments) -> None:
        """Write all of a block to a descriptor."""
        data = _decoded(arguments.block)
        with descriptors.using(arguments.fd) as file:
            file.write(data, arguments.offset)

    @registry.command("filesystem.close", DescriptorArguments, repeatable=True)
    def close(arguments: DescriptorArguments) -> None:
        """Close a descriptor; one that is not known counts as closed."""
        descriptors.close(arguments.fd)

    registry.command("filesystem.exists", PathArguments, repeatable=True)(exists)
    registry.command("filesystem.list", PathArguments, repeatable=True)(list_directory)
    registry.command("filesystem.stat", PathArguments, repeatable=True)(status)
    registry.command("filesystem.checksum", ChecksumArguments, repeatable=True)(checksum_of)
    registry.command("filesystem.mkdir", PathArguments)(make_directory)
    registry.command("filesystem.remove", PathArguments)(remove)
    registry.command("filesystem.move", MoveArguments)(move)
    registry.command("filesystem.chmod", ModeArguments)(change_mode)
    registry.command("filesystem.chown", OwnerArguments)(change_owner)


def _decoded(block: str) -> bytes:
    try:
        return binascii.a2b_base64(block.translate(_LINE_ENDS), strict_mode=True)
    except ValueError as error:
        raise BadRequestError(f"block: no base64: {error}") from error


def exists(arguments: PathArguments) -> bool:
    """Tell whether there is something at a path."""
    return listing.exists(checked("path", arguments.path))


def list_directory(context: Context, arguments: PathArguments) -> list[listing.ListedFile]:
    """List a directory, in the order of names."""
    return listing.list_directory(checked("path", arguments.path), lambda: context.cancelled)


def status(arguments: PathArguments) -> listing.FileStatus:
    """Tell what is known of a file."""
    return listing.status_of(checked("path", arguments.path))


def checksum_of(context: Context, arguments: ChecksumArguments) -> str:
    """Compute the checksum of a file's content, in hexadecimal."""
    algorithm = "sha256" if arguments.algorithm is None else arguments.algorithm
    path = checked("path", arguments.path)
    return checksum.checksum(path, algorithm, lambda: context.cancelled)


def make_directory(arguments: PathArguments) -> None:
    """Make a directory with the parents that it lacks."""
    directories.make_directory(checked("path", arguments.path))


def remove(context: Context, arguments: PathArguments) -> None:
    """Remove a file, or a directory with all that is in it."""
    removal.remove(checked("path", arguments.path), lambda: context.cancelled)


def move(context: Context, arguments: MoveArguments) -> None:
    """Give a file or directory another path."""
    path = checked("path", arguments.path)
    moving.move(path, checked("destination", arguments.destination), lambda: context.cancelled)


def change_mode(context: Context, arguments: ModeArguments) -> None:
    """Change permissions."""
    permissions.change_mode(
        checked("path", arguments.path),
        permissions.parse_mode("mode", arguments.mode),
        recursive=bool(arguments.recursive),
        stopped=lambda: context.cancelled,
    )


def change_owner(context: Context, arguments: OwnerArguments) -> None:
    """Change user and group."""
    permissions.change_owner(
        checked("path", arguments.path),
        permissions.find_owner(arguments.user, arguments.group),
        recursive=bool(arguments.recursive),
        stopped=lambda: context.cancelled,
    )
