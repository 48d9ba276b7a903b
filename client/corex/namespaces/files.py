"""`node.fs`."""

from __future__ import annotations

from corex.core import WAIT_TIMEOUT
from corex.namespaces.namespace import AsyncNamespace, Namespace
from corex.questions.files import (
    Data,
    FileEntries,
    FileStat,
    Owner,
    change_mode,
    change_owner,
    checksum_file,
    close_file,
    list_directory,
    make_directory,
    move_path,
    open_file,
    path_exists,
    read_file,
    remove_path,
    stat_path,
    write_file,
)
from corex.transfer.copying import ALGORITHM, TRANSFER_TIMEOUT, Progress, Terms, Transferred
from corex.transfer.download import Download
from corex.transfer.local import Local
from corex.transfer.upload import Upload


class Files(Namespace):
    """The files of a node, as its agent may see them. Content is bytes.

    All raise `JobFailed` when the node refuses (its code is 404 for what is not there, 403 where
    the agent may not, 409 for what is in the way), `WaitTimeout` when it does not answer in time,
    `StoreError` when Redis cannot be reached, `DecodeError` when the answer makes no sense.
    """

    __slots__ = ()

    def open(
        self, path: str, mode: str = "r", perm: int | None = None, *, timeout: float = WAIT_TIMEOUT
    ) -> str:
        """Open a file.

        Args:
            path: on the node.
            mode: one of `r`, `w` (emptied or made), `a` (appended to), `x` (made, must not be
                there); with `+` for reading and writing.
            perm: permissions if it is made.
            timeout: seconds to wait for the answer.

        Returns:
            A descriptor for `read`, `write` and `close`. The node closes one that has been idle
            for some minutes.
        """
        return self._ask(open_file(path, mode, perm), timeout)

    def read(
        self,
        fd: str,
        size: int | None = None,
        offset: int | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
    ) -> bytes:
        """Read from a descriptor.

        Args:
            fd: the descriptor.
            size: how much, up to 512 KiB, which is the default.
            offset: from where; from behind what was read before when None.
            timeout: seconds to wait for the answer.

        Returns:
            The bytes, none at the end of the file.
        """
        return self._ask(read_file(fd, size, offset), timeout)

    def write(
        self, fd: str, data: Data, offset: int | None = None, *, timeout: float = WAIT_TIMEOUT
    ) -> None:
        """Write to a descriptor.

        Args:
            fd: the descriptor.
            data: at most 512 KiB.
            offset: to where; to behind what was written before when None.
            timeout: seconds to wait for the answer.

        Raises:
            PayloadTooLargeError: there is too much of it for one command.
        """
        self._ask(write_file(fd, data, offset), timeout)

    def close(self, fd: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Close a descriptor; one that is not known counts as closed."""
        self._ask(close_file(fd), timeout)

    def exists(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> bool:
        """Tell whether there is something at a path."""
        return self._ask(path_exists(path), timeout)

    def list(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> FileEntries:
        """List a directory, by name."""
        return self._ask(list_directory(path), timeout)

    def mkdir(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Make a directory, with its parents; one that is there is none to make."""
        self._ask(make_directory(path), timeout)

    def remove(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Remove a file, or a directory with all that is in it; what is not there is removed."""
        self._ask(remove_path(path), timeout)

    def move(self, path: str, destination: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Move a file or a directory, also to another file system."""
        self._ask(move_path(path, destination), timeout)

    def chmod(
        self, path: str, mode: int, *, recursive: bool = False, timeout: float = WAIT_TIMEOUT
    ) -> None:
        """Change permissions, such as `0o644`."""
        self._ask(change_mode(path, mode, recursive=recursive), timeout)

    def chown(
        self,
        path: str,
        user: Owner = None,
        group: Owner = None,
        *,
        recursive: bool = False,
        timeout: float = WAIT_TIMEOUT,
    ) -> None:
        """Change the owner, the group or both, each by its name or number."""
        self._ask(change_owner(path, user, group, recursive=recursive), timeout)

    def stat(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> FileStat:
        """Tell what is known of a file."""
        return self._ask(stat_path(path), timeout)

    def checksum(
        self, path: str, algorithm: str = ALGORITHM, *, timeout: float = WAIT_TIMEOUT
    ) -> str:
        """Compute the checksum of a file on the node, in hexadecimal."""
        return self._ask(checksum_file(path, algorithm), timeout)

    def upload(
        self,
        source: Local,
        destination: str,
        *,
        mode: int | None = None,
        progress: Progress | None = None,
        timeout: float = TRANSFER_TIMEOUT,
    ) -> Transferred:
        """Copy a file to the node, whole or not at all.

        It is written beside the destination and takes its place when the node has found the same
        checksum as this side. Redis may go away meanwhile, and the agent: the copying goes on
        where it was, within its time. If it fails, what was written is removed; that may take
        some seconds more.

        Args:
            source: a path, or a file open in binary mode, which is read from where it stands.
            destination: path of the file on the node; one that is there is replaced.
            mode: permissions; when None those of the source, or 0o644 if it has none.
            progress: called with the bytes that have arrived and the bytes there are.
            timeout: seconds for all of it.

        Raises:
            TransferError: it could not be copied; says why, and how far it came.
            WaitTimeout: it was not copied in time; says how far it came.
            OSError: the source cannot be opened.
        """
        transfer = Upload(
            self._client.core,
            self._node,
            source,
            destination,
            Terms(mode, progress, timeout),
        )
        try:
            return self._client.perform(transfer.run())
        finally:
            self._tidy(transfer.tidy())

    def download(
        self,
        source: str,
        destination: Local,
        *,
        mode: int | None = None,
        progress: Progress | None = None,
        timeout: float = TRANSFER_TIMEOUT,
    ) -> Transferred:
        """Copy a file from the node, whole or not at all.

        It is written beside the destination and takes its place when the node has found the same
        checksum as this side. A file that is changed on the node meanwhile is an error. For the
        rest see `upload`.

        Args:
            source: path on the node.
            destination: a path, where a file is replaced; or a file open in binary mode, which is
                left with what came if it fails.
            mode: permissions; those of the source when None.
            progress: called with the bytes that have arrived and the bytes there are.
            timeout: seconds for all of it.

        Raises:
            TransferError: it could not be copied; says why, and how far it came.
            WaitTimeout: it was not copied in time; says how far it came.
            OSError: the destination cannot be opened.
        """
        transfer = Download(
            self._client.core,
            self._node,
            source,
            destination,
            Terms(mode, progress, timeout),
        )
        try:
            return self._client.perform(transfer.run())
        finally:
            self._tidy(transfer.tidy())


class AsyncFiles(AsyncNamespace):
    """`Files` with coroutines; local files are read and written in threads."""

    __slots__ = ()

    async def open(
        self, path: str, mode: str = "r", perm: int | None = None, *, timeout: float = WAIT_TIMEOUT
    ) -> str:
        """Open a file. See `Files.open`."""
        return await self._ask(open_file(path, mode, perm), timeout)

    async def read(
        self,
        fd: str,
        size: int | None = None,
        offset: int | None = None,
        *,
        timeout: float = WAIT_TIMEOUT,
    ) -> bytes:
        """Read from a descriptor. See `Files.read`."""
        return await self._ask(read_file(fd, size, offset), timeout)

    async def write(
        self, fd: str, data: Data, offset: int | None = None, *, timeout: float = WAIT_TIMEOUT
    ) -> None:
        """Write to a descriptor. See `Files.write`."""
        await self._ask(write_file(fd, data, offset), timeout)

    async def close(self, fd: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Close a descriptor; one that is not known counts as closed."""
        await self._ask(close_file(fd), timeout)

    async def exists(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> bool:
        """Tell whether there is something at a path."""
        return await self._ask(path_exists(path), timeout)

    async def list(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> FileEntries:
        """List a directory, by name."""
        return await self._ask(list_directory(path), timeout)

    async def mkdir(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Make a directory, with its parents; one that is there is none to make."""
        await self._ask(make_directory(path), timeout)

    async def remove(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Remove a file, or a directory with all that is in it; what is not there is removed."""
        await self._ask(remove_path(path), timeout)

    async def move(self, path: str, destination: str, *, timeout: float = WAIT_TIMEOUT) -> None:
        """Move a file or a directory, also to another file system."""
        await self._ask(move_path(path, destination), timeout)

    async def chmod(
        self, path: str, mode: int, *, recursive: bool = False, timeout: float = WAIT_TIMEOUT
    ) -> None:
        """Change permissions, such as `0o644`."""
        await self._ask(change_mode(path, mode, recursive=recursive), timeout)

    async def chown(
        self,
        path: str,
        user: Owner = None,
        group: Owner = None,
        *,
        recursive: bool = False,
        timeout: float = WAIT_TIMEOUT,
    ) -> None:
        """Change the owner, the group or both, each by its name or number."""
        await self._ask(change_owner(path, user, group, recursive=recursive), timeout)

    async def stat(self, path: str, *, timeout: float = WAIT_TIMEOUT) -> FileStat:
        """Tell what is known of a file."""
        return await self._ask(stat_path(path), timeout)

    async def checksum(
        self, path: str, algorithm: str = ALGORITHM, *, timeout: float = WAIT_TIMEOUT
    ) -> str:
        """Compute the checksum of a file on the node, in hexadecimal."""
        return await self._ask(checksum_file(path, algorithm), timeout)

    async def upload(
        self,
        source: Local,
        destination: str,
        *,
        mode: int | None = None,
        progress: Progress | None = None,
        timeout: float = TRANSFER_TIMEOUT,
    ) -> Transferred:
        """Copy a file to the node, whole or not at all. See `Files.upload`."""
        transfer = Upload(
            self._client.core,
            self._node,
            source,
            destination,
            Terms(mode, progress, timeout),
        )
        try:
            return await self._client.perform(transfer.run())
        finally:
            await self._tidy(transfer.tidy())

    async def download(
        self,
        source: str,
        destination: Local,
        *,
        mode: int | None = None,
        progress: Progress | None = None,
        timeout: float = TRANSFER_TIMEOUT,
    ) -> Transferred:
        """Copy a file from the node, whole or not at all. See `Files.download`."""
        transfer = Download(
            self._client.core,
            self._node,
            source,
            destination,
            Terms(mode, progress, timeout),
        )
        try:
            return await self._client.perform(transfer.run())
        finally:
            await self._tidy(transfer.tidy())
