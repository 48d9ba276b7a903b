"""`node.fs` with a real agent."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from corex import (
    AsyncNode,
    Client,
    FileEntry,
    JobFailed,
    Node,
    PayloadTooLargeError,
    TransferError,
    Transferred,
)
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess

BLOCK = 512 * 1024
SIZES = [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK, 10 * BLOCK + 1]


def _code(call: Callable[[], object]) -> int:
    with pytest.raises(JobFailed) as caught:
        call()
    return caught.value.result.code


def _data(size: int) -> bytes:
    return hashlib.sha512(str(size).encode()).digest() * (size // 64 + 1)


@pytest.fixture
def folder(tmp_path: Path, live_agent: NodeProcess) -> Iterator[Path]:
    """A directory in which the agent has nothing open after the test."""
    yield tmp_path
    eventually(lambda: not _opened(live_agent, tmp_path), "nothing open")


def _opened(agent: NodeProcess, folder: Path) -> list[str]:
    files = psutil.Process(agent.process.pid).open_files()
    return [file.path for file in files if file.path.startswith(str(folder))]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- commands -------------------------------------------------------------------------------------


def test_bytes_are_written_and_read_by_descriptor(node: Node, folder: Path) -> None:
    path = folder / "file"
    fd = node.fs.open(str(path), "w", 0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    node.fs.write(fd, bytes(range(256)))
    node.fs.write(fd, b"end")
    node.fs.write(fd, bytearray(b"!"), offset=1)
    node.fs.close(fd)
    assert path.read_bytes() == b"\0!" + bytes(range(2, 256)) + b"end"
    fd = node.fs.open(str(path))
    assert node.fs.read(fd, 2) == b"\0!"
    assert node.fs.read(fd, offset=256) == b"end"
    assert node.fs.read(fd) == b""
    assert node.fs.read(fd, 1, 0) == b"\0"
    node.fs.close(fd)
    node.fs.close(fd)  # as often as one likes
    assert _code(lambda: node.fs.read(fd)) == 404


def test_what_was_read_does_not_stay_in_redis(
    node: Node, folder: Path, raw: redis.Redis, live_agent: NodeProcess
) -> None:
    (folder / "file").write_bytes(b"x" * BLOCK)
    fd = node.fs.open(str(folder / "file"))
    assert node.fs.read(fd) == b"x" * BLOCK
    node.fs.close(fd)
    sizes = [raw.memory_usage(key) or 0 for key in raw.scan_iter(f"{live_agent.namespace}:*")]
    assert max(sizes) < BLOCK


def test_a_block_that_is_too_large_is_refused_before_it_is_sent(node: Node) -> None:
    with pytest.raises(PayloadTooLargeError):
        node.fs.write("any", b"x" * 2 * BLOCK)


def test_directories_are_made_listed_moved_and_removed(node: Node, folder: Path) -> None:
    assert node.fs.exists(str(folder / "a")) is False
    node.fs.mkdir(str(folder / "a" / "b"))
    assert node.fs.exists(str(folder / "a" / "b")) is True
    (folder / "a" / "c").write_bytes(b"12345")
    (folder / "a" / "c").chmod(0o600)
    (folder / "a" / "b").chmod(0o750)
    b, c = node.fs.list(str(folder / "a"))
    assert (b.name, b.mode, b.is_dir) == ("b", 0o750, True)
    assert c == FileEntry("c", 5, 0o600, False)
    node.fs.move(str(folder / "a"), str(folder / "moved"))
    assert _names(folder) == ["moved"]
    node.fs.remove(str(folder / "moved"))
    assert _names(folder) == []
    assert _code(lambda: node.fs.list(str(folder / "a"))) == 404


def test_permissions_and_owners(node: Node, folder: Path) -> None:
    path = folder / "d" / "file"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    node.fs.chmod(str(path), 0o604)
    assert path.stat().st_mode & 0o7777 == 0o604
    node.fs.chmod(str(path.parent), 0o711, recursive=True)
    assert path.stat().st_mode & 0o7777 == 0o711
    me = pwd.getpwuid(os.getuid()).pw_name
    node.fs.chown(str(path), me)
    node.fs.chown(str(path.parent), user=os.getuid(), group=os.getgid(), recursive=True)
    found = node.fs.stat(str(path))
    assert (found.size, found.mode, found.is_dir, found.is_link) == (3, 0o711, False, False)
    assert found.user == me
    assert found.mtime == path.stat().st_mtime_ns // 1_000_000
    assert node.fs.checksum(str(path)) == hashlib.sha256(b"abc").hexdigest()
    assert node.fs.checksum(str(path), "md5") == hashlib.md5(b"abc").hexdigest()
    assert _code(lambda: node.fs.checksum(str(path), "rot13")) == 400
    assert _code(lambda: node.fs.stat(str(folder / "nothing"))) == 404


async def test_the_coroutines_do_the_same(anode: AsyncNode, folder: Path) -> None:
    fs, path = anode.fs, str(folder / "d" / "file")
    await fs.mkdir(str(folder / "d"))
    fd = await fs.open(path, "x+", 0o600)
    await fs.write(fd, b"\xff\0")
    assert await fs.read(fd, offset=0) == b"\xff\0"
    await fs.close(fd)
    await fs.chmod(path, 0o640)
    await fs.chown(path, os.getuid())
    assert await fs.exists(path)
    assert (await fs.stat(path)).mode == 0o640
    assert await fs.checksum(path) == hashlib.sha256(b"\xff\0").hexdigest()
    assert [entry.size for entry in await fs.list(str(folder / "d"))] == [2]
    await fs.move(path, str(folder / "e"))
    await fs.remove(str(folder / "d"))
    assert _names(folder) == ["e"]


# -- copying --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_files_are_copied_there_and_back(node: Node, folder: Path, size: int) -> None:
    here, there, back = folder / "here", folder / "there", folder / "back"
    here.write_bytes(_data(size)[:size])
    here.chmod(0o640)
    progress: list[tuple[int, int]] = []
    copied = node.fs.upload(here, str(there), progress=lambda *at: progress.append(at))
    assert copied == Transferred(size, hashlib.sha256(here.read_bytes()).hexdigest())
    assert node.fs.download(str(there), back, progress=lambda *at: progress.append(at)) == copied
    assert back.read_bytes() == there.read_bytes() == here.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (there, back)} == {0o640}
    assert progress.count((size, size)) >= 2
    assert _names(folder) == ["back", "here", "there"]


async def test_coroutines_copy_many_files_at_once(anode: AsyncNode, folder: Path) -> None:
    sizes = [*range(0, 3 * BLOCK, BLOCK // 4)]
    names = [str(size) for size in sizes]
    for size in sizes:
        (folder / f"{size}.here").write_bytes(_data(size)[:size])
    await asyncio.gather(
        *(anode.fs.upload(folder / f"{name}.here", str(folder / f"{name}.there")) for name in names)
    )
    await asyncio.gather(
        *(
            anode.fs.download(str(folder / f"{name}.there"), folder / f"{name}.back")
            for name in names
        )
    )
    for size in sizes:
        assert (folder / f"{size}.back").read_bytes() == _data(size)[:size]
    assert len(_names(folder)) == 3 * len(sizes)


def test_files_of_the_caller_are_copied(node: Node, folder: Path) -> None:
    data = _data(2 * BLOCK)
    node.fs.upload(io.BytesIO(data), str(folder / "there"), mode=0o600)
    assert (folder / "there").stat().st_mode & 0o777 == 0o600
    target = io.BytesIO()
    node.fs.download(str(folder / "there"), target)
    assert target.getvalue() == data


def test_files_are_copied_in_commands_that_are_json(live_agent: NodeProcess, folder: Path) -> None:
    data, target = _data(2 * BLOCK), io.BytesIO()
    with Client(live_agent.url, namespace=live_agent.namespace, encoding="json") as client:
        fs = client.node(live_agent.id).fs
        fs.upload(io.BytesIO(data), str(folder / "there"))
        fs.download(str(folder / "there"), target)
    assert target.getvalue() == data


def test_a_file_that_is_there_is_replaced_and_a_directory_is_not(node: Node, folder: Path) -> None:
    (folder / "there").write_bytes(b"old")
    (folder / "directory").mkdir()
    node.fs.upload(io.BytesIO(b"new"), str(folder / "there"))
    assert (folder / "there").read_bytes() == b"new"
    with pytest.raises(TransferError, match="the destination is a directory"):
        node.fs.upload(io.BytesIO(b"new"), str(folder / "directory"))
    with pytest.raises(IsADirectoryError):
        node.fs.download(str(folder / "there"), folder / "directory")
    assert _names(folder) == ["directory", "there"]
    assert _names(folder / "directory") == []


def test_what_is_not_there_is_an_error_with_its_code(node: Node, folder: Path) -> None:
    with pytest.raises(TransferError, match=r"404.*\(0 of 0 bytes were copied\)") as caught:
        node.fs.download(str(folder / "nothing"), folder / "back")
    assert caught.value.result is not None
    assert caught.value.result.code == 404
    with pytest.raises(TransferError, match="404"):
        node.fs.upload(io.BytesIO(b"x"), str(folder / "no" / "such" / "place"))
    with pytest.raises(FileNotFoundError):
        node.fs.upload(folder / "nothing", str(folder / "there"))
    assert _names(folder) == []


def test_a_file_that_is_changed_while_it_is_downloaded_is_noticed(node: Node, folder: Path) -> None:
    there = folder / "there"
    there.write_bytes(_data(20 * BLOCK))

    def change(done: int, total: int) -> None:
        if done == 5 * BLOCK:
            with there.open("r+b") as file:
                file.write(b"other")

    with pytest.raises(TransferError, match="changed while it was read"):
        node.fs.download(str(there), folder / "back", progress=change)
    assert _names(folder) == ["there"]


def test_a_transfer_that_is_interrupted_leaves_nothing(node: Node, folder: Path) -> None:
    """As by Ctrl-C, in the middle."""
    (folder / "there").write_bytes(_data(20 * BLOCK))

    def interrupt(done: int, total: int) -> None:
        if done >= 5 * BLOCK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        node.fs.download(str(folder / "there"), folder / "back", progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        node.fs.upload(folder / "there", str(folder / "up"), progress=interrupt)
    assert _names(folder) == ["there"]


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_transfer_that_is_cancelled_leaves_nothing(
    anode: AsyncNode, folder: Path, way: str
) -> None:
    here, there = folder / "here", str(folder / "there")
    here.write_bytes(_data(40 * BLOCK))
    begun = asyncio.Event()

    def progress(done: int, total: int) -> None:
        if done:
            begun.set()

    fs = anode.fs
    copying = (
        fs.upload(here, there, progress=progress)
        if way == "up"
        else fs.download(str(here), there, progress=progress)
    )
    task = asyncio.create_task(copying)
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _names(folder) == ["here"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["up", "down"])
def test_copying_needs_little_memory(
    node: Node, folder: Path, raw: redis.Redis, live_agent: NodeProcess, way: str
) -> None:
    """However large the file, no more than some blocks are held anywhere, also in Redis."""
    here, there, size = folder / "here", folder / "there", 200_000_000
    here.touch()
    os.truncate(here, size)
    most = {"redis": 0, "here": 0, "agent": 0}
    agent = psutil.Process(live_agent.process.pid)
    own = psutil.Process()

    def look(done: int, total: int) -> None:
        if done % (16 * BLOCK):
            return
        most["redis"] = max(most["redis"], raw.info("memory")["used_memory"])
        most["here"] = max(most["here"], own.memory_info().rss)
        most["agent"] = max(most["agent"], agent.memory_info().rss)

    # Once, so that what all copying needs is loaded.
    node.fs.upload(io.BytesIO(_data(10 * BLOCK)), str(there))
    look(0, 0)
    before = dict(most)
    if way == "up":
        node.fs.upload(here, str(there), progress=look)
    else:
        node.fs.download(str(here), there, progress=look)
    assert there.stat().st_size == size
    grown = {where: most[where] - before[where] for where in most}
    assert grown["redis"] < 40_000_000
    assert grown["here"] < 40_000_000
    assert grown["agent"] < 150_000_000  # it has many threads, each with a heap
