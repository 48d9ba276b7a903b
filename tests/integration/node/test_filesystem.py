"""`filesystem.*` over the plain wire."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from base64 import b64decode, b64encode, encodebytes
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis

from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess, RunNode
from tests.helpers.wire import Pairs, Wire

BLOCK = 512 * 1024
ODD = bytes(range(256)) * 4


class Files:
    """Asks one node about its files."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def push(self, name: str, /, **arguments: Any) -> str:
        """Push a command of the family."""
        return self.wire.push(f"filesystem.{name}", arguments)

    def result(self, name: str, /, **arguments: Any) -> Pairs:
        """Push one and wait for its result."""
        return self.wire.result(self.push(name, **arguments))

    def ask(self, name: str, /, **arguments: Any) -> Any:
        """Push one that succeeds; return its answer."""
        result = self.result(name, **arguments)
        assert (result["state"], result["level"]) == ("SUCCESS", 20), result
        return json.loads(result["data"])

    def refused(self, name: str, /, **arguments: Any) -> tuple[int, str]:
        """Push one that is refused; return code and the argument that is named."""
        result = self.result(name, **arguments)
        assert result["state"] == "ERROR", result
        return result["code"], json.loads(result["data"]).partition(":")[0]

    def open(self, path: Path, mode: str, **more: Any) -> str:
        """Open a file."""
        fd = self.ask("open", file=str(path), mode=mode, **more)
        assert isinstance(fd, str)
        return fd

    def read(self, fd: str, **more: Any) -> bytes:
        """Read a block."""
        return b64decode(self.ask("read", fd=fd, **more), validate=True)

    def write(self, fd: str, data: bytes, **more: Any) -> None:
        """Write a block."""
        assert self.ask("write", fd=fd, block=b64encode(data).decode(), **more) is None

    def close(self, fd: str) -> None:
        """Close a descriptor."""
        assert self.ask("close", fd=fd) is None


@pytest.fixture
def files(wire: Wire) -> Files:
    """The files of the shared node."""
    return Files(wire)


def mode_of(path: Path) -> int:
    """Permissions of a file."""
    return stat.S_IMODE(path.lstat().st_mode)


def held_by(node: NodeProcess, path: Path) -> int:
    """How often a node has a file open."""
    folder, found = Path(f"/proc/{node.process.pid}/fd"), 0
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            found += os.readlink(folder / name) == str(path)
    return found


# -- descriptors ------------------------------------------------------------------------------


def test_what_is_written_is_read(files: Files, tmp_path: Path) -> None:
    """All bytes, in blocks, with line ends in their base64; the end is an empty block."""
    path = tmp_path / "file"
    fd = files.open(path, "w")
    files.write(fd, ODD)
    assert files.ask("write", fd=fd, block=encodebytes(ODD).decode()) is None
    assert (
        files.ask("write", fd=fd, block=encodebytes(ODD).replace(b"\n", b"\r\n").decode()) is None
    )
    files.write(fd, b"")
    files.close(fd)
    assert path.read_bytes() == ODD * 3
    fd = files.open(path, "r")
    assert (files.read(fd), files.read(fd), files.read(fd)) == (ODD * 3, b"", b"")
    files.close(fd)


def test_a_block_has_at_most_512_kib(files: Files, tmp_path: Path) -> None:
    """More than that comes in several."""
    path = tmp_path / "file"
    content = os.urandom(BLOCK + 1000)
    path.write_bytes(content)
    fd = files.open(path, "r")
    assert files.read(fd) == content[:BLOCK]
    assert files.read(fd) == content[BLOCK:]
    assert files.ask("read", fd=fd) == ""
    assert files.refused("read", fd=fd, size=BLOCK + 1) == (400, "size")
    assert files.read(fd, size=BLOCK, offset=500) == content[500 : 500 + BLOCK]
    files.close(fd)


def test_places(files: Files, tmp_path: Path) -> None:
    """A block may say where it is read or written; what follows goes on from there."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = files.open(path, "r+")
    assert files.read(fd, size=2, offset=3) == b"34"
    assert files.read(fd, size=2) == b"56"
    files.write(fd, b"ab", offset=1)
    files.write(fd, b"c")
    assert files.read(fd, offset=0) == b"0abc456789"
    files.write(fd, b"end", offset=12)
    assert path.read_bytes() == b"0abc456789\0\0end"
    assert files.read(fd, offset=100) == b""
    assert files.refused("read", fd=fd, offset=-1) == (400, "offset")
    assert files.refused("read", fd=fd, offset=2**64) == (400, "offset")
    assert files.refused("write", fd=fd, block="", offset=-1) == (400, "offset")
    assert files.refused("read", fd=fd, size=0) == (400, "size")
    files.close(fd)


@pytest.mark.parametrize(
    "mode, on_old, on_new",
    [
        ("r", b"old", 404),
        ("r+", b"new", 404),
        ("w", b"new", b"new"),
        ("w+", b"new", b"new"),
        ("a", b"oldnew", b"new"),
        ("a+", b"oldnew", b"new"),
        ("x", 409, b"new"),
        ("x+", 409, b"new"),
    ],
)
def test_modes(
    files: Files, tmp_path: Path, mode: str, on_old: bytes | int, on_new: bytes | int
) -> None:
    """What becomes of a file that is there, of one that is not, and what may be done with it."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    for path, expected in ((old, on_old), (new, on_new)):
        if isinstance(expected, int):
            assert files.refused("open", file=str(path), mode=mode) == (expected, "file")
            continue
        fd = files.open(path, mode)
        if mode == "r":
            assert files.refused("write", fd=fd, block="") == (406, "fd")
        else:
            files.write(fd, b"new")
        if mode.startswith("a"):
            assert files.refused("write", fd=fd, block="", offset=0) == (400, "offset")
        if mode == "r" or mode.endswith("+"):
            assert files.read(fd, offset=0) == expected
        else:
            assert files.refused("read", fd=fd) == (406, "fd")
        files.close(fd)
        assert path.read_bytes() == expected
    assert old.exists()


@pytest.mark.parametrize("mode", ["", "+", "rw", "rb", "r++", "+r", "R", "wa", " r", "rwax+", "é"])
def test_what_is_no_mode(files: Files, tmp_path: Path, mode: str) -> None:
    """It is exactly one of r, w, a, x, and nothing is made for any other."""
    path = tmp_path / "file"
    assert files.refused("open", file=str(path), mode=mode) == (400, "mode")
    assert not path.exists()


def test_permissions_of_a_new_file(files: Files, tmp_path: Path) -> None:
    """A number or octal digits; 0644 otherwise; never those of one that is there."""
    for name, more, expected in (
        ("a", {"perm": 0o600}, 0o600),
        ("b", {"perm": "0640"}, 0o640),
        ("c", {}, 0o644),
        ("d", {"perm": None}, 0o644),
        ("a", {"perm": 0o644}, 0o600),
    ):
        files.close(files.open(tmp_path / name, "w", **more))
        assert mode_of(tmp_path / name) == expected
    for wrong in (-1, 0o10000, "rw", "9"):
        code = files.refused("open", file=str(tmp_path / "e"), mode="w", perm=wrong)
        assert code == (400, "perm")
    assert not (tmp_path / "e").exists()


def test_what_is_no_descriptor(files: Files, tmp_path: Path) -> None:
    """It is not found, and closing it is no error; a number of the system's is none."""
    fd = files.open(tmp_path / "file", "w")
    for other in ("0", "1", "7", "", fd[:-1], fd.upper() + "0", "../" + fd):
        assert files.refused("read", fd=other) == (404, "fd")
        assert files.refused("write", fd=other, block="") == (404, "fd")
        files.close(other)
    files.write(fd, b"x")
    files.close(fd)
    files.close(fd)
    assert files.refused("write", fd=fd, block="") == (404, "fd")
    assert files.refused("read", fd=3) == (400, "fd")
    assert len(fd) >= 32


@pytest.mark.parametrize("block", ["!", "YQ", "YQ=", "YQ===", "YQ==YQ==", "Y Q==", "é", "YQ==\0"])
def test_what_is_no_base64(files: Files, tmp_path: Path, block: str) -> None:
    """It is a bad request, and nothing is written."""
    fd = files.open(tmp_path / "file", "w")
    assert files.refused("write", fd=fd, block=block) == (400, "block")
    files.close(fd)
    assert (tmp_path / "file").read_bytes() == b""


def test_blocks_that_are_under_way_together(files: Files, tmp_path: Path) -> None:
    """Each has its place, so their order does not matter; none is mixed with another."""
    path = tmp_path / "file"
    fd = files.open(path, "x+")
    blocks = [os.urandom(50_000) for _ in range(12)]
    jobs = [
        files.push("write", fd=fd, block=b64encode(block).decode(), offset=50_000 * number)
        for number, block in reversed(list(enumerate(blocks)))
    ]
    assert {result["state"] for result in files.wire.results(jobs).values()} == {"SUCCESS"}
    assert path.read_bytes() == b"".join(blocks)
    jobs = [files.push("read", fd=fd, size=50_000, offset=50_000 * number) for number in range(12)]
    results = files.wire.results(jobs)
    assert [b64decode(json.loads(results[job]["data"])) for job in jobs] == blocks
    files.close(fd)


def test_a_full_disk(files: Files) -> None:
    """It is told with its reason, and the descriptor is good for another try."""
    fd = files.open(Path("/dev/full"), "r+")
    for _ in range(2):
        result = files.result("write", fd=fd, block="YQ==")
        assert (result["state"], result["code"]) == ("ERROR", 500)
        assert "0 of 1 bytes were written: no space left on device" in result["data"]
    assert files.read(fd, size=3) == b"\0\0\0"
    files.close(fd)


def test_nothing_waits_for_somebody_at_the_other_end(files: Files, tmp_path: Path) -> None:
    """Pipes and sockets are refused at once; directories are no files."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("pipe", "link", "socket"):
            for mode in ("r", "w", "r+", "a"):
                code = files.refused("open", file=str(tmp_path / name), mode=mode)
                assert code == (406, "file")
            assert files.refused("checksum", path=str(tmp_path / name)) == (406, "path")
    for mode in ("r", "w"):
        assert files.refused("open", file=str(tmp_path), mode=mode) == (400, "file")
    assert files.refused("checksum", path=str(tmp_path)) == (400, "path")
    assert files.refused("checksum", path="/dev/zero") == (406, "path")


def test_a_device_is_read(files: Files) -> None:
    """As much of it as there is at once."""
    fd = files.open(Path("/dev/zero"), "r")
    assert files.read(fd, size=1000) == bytes(1000)
    assert files.read(fd) == bytes(BLOCK)
    files.close(fd)


def test_descriptors_are_bounded(
    run_node: RunNode, raw: redis.Redis, keys: Keys, tmp_path: Path
) -> None:
    """One too many is refused until another is closed; the agent's settings say how many."""
    node = run_node("n1", env={"COREX_NODE_LIMITS_OPEN_FILES": "2"})
    files = Files(Wire(raw, keys, "n1"))
    path = tmp_path / "file"
    path.touch()
    opened = [files.open(path, "r") for _ in range(2)]
    assert files.refused("open", file=str(path), mode="r") == (503, "file")
    assert held_by(node, path) == 2
    files.close(opened[0])
    assert held_by(node, path) == 1
    fd = files.open(path, "r")
    assert files.read(fd) == b""
    # They do not keep the agent from ending.
    assert node.stop() == 0


# -- paths ------------------------------------------------------------------------------------

PATHS: list[tuple[str, str, dict[str, Any]]] = [
    ("open", "file", {"mode": "w"}),
    ("exists", "path", {}),
    ("list", "path", {}),
    ("stat", "path", {}),
    ("checksum", "path", {}),
    ("mkdir", "path", {}),
    ("remove", "path", {}),
    ("move", "path", {"destination": "/none/x"}),
    ("move", "destination", {"path": "/none/x"}),
    ("chmod", "path", {"mode": 0}),
    ("chown", "path", {"user": "root"}),
]


@pytest.mark.parametrize("name, argument, more", PATHS)
def test_what_is_no_path(files: Files, name: str, argument: str, more: dict[str, Any]) -> None:
    """Every command refuses it, and names the argument; so it does with one that is missing."""
    for path in ("", "a\0b", "/" + "x" * 5000, 7, None):
        assert files.refused(name, **{argument: path, **more}) == (400, argument)
    assert files.refused(name, **more) == (400, argument)
    assert files.refused(name, **{argument: "/none/x", **more}, more=1) == (400, "more")


def test_in_messagepack(files: Files, tmp_path: Path) -> None:
    """Arguments and answers are the same."""
    arguments = {"file": str(tmp_path / "é"), "mode": "w", "perm": 0o600}
    job = files.wire.push("filesystem.open", arguments, encode=msgpack.packb)
    fd = json.loads(files.wire.result(job)["data"])
    files.write(fd, b"x")
    files.close(fd)
    assert (tmp_path / "é").read_bytes() == b"x"
    assert [entry["name"] for entry in files.ask("list", path=str(tmp_path))] == ["é"]


def test_exists(files: Files, tmp_path: Path) -> None:
    """Whether something is there; a link stands for what it names."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "lost").symlink_to("nothing")
    found = {
        name: files.ask("exists", path=str(tmp_path / name))
        for name in ("", "file", "link", "lost", "none", "none/x", "file/x")
    }
    assert found == {
        "": True,
        "file": True,
        "link": True,
        "lost": False,
        "none": False,
        "none/x": False,
        "file/x": False,
    }


def test_list(files: Files, tmp_path: Path) -> None:
    """Entries in the order of names, with size and permissions; a link is a link."""
    (tmp_path / "b").write_bytes(b"12345")
    (tmp_path / "b").chmod(0o4640)
    (tmp_path / "a").mkdir(0o700)
    (tmp_path / "Z").symlink_to("a")
    (tmp_path / os.fsdecode(b"c\xff")).touch()
    listed = files.ask("list", path=str(tmp_path))
    assert [entry["name"] for entry in listed] == ["Z", "a", "b", "c\ufffd"]
    assert listed[2] == {"name": "b", "size": 5, "mode": 0o640, "is_dir": False}
    assert [entry["is_dir"] for entry in listed] == [False, True, False, False]
    assert files.ask("list", path=str(tmp_path / "Z")) == []
    assert files.refused("list", path=str(tmp_path / "none")) == (404, "path")
    assert files.refused("list", path=str(tmp_path / "b")) == (400, "path")


def test_list_of_a_large_directory(files: Files, tmp_path: Path) -> None:
    """All of it is answered."""
    source = tmp_path / "0"
    source.touch()
    count = 20_000
    for number in range(1, count):
        os.link(source, tmp_path / f"{number}")
    job = files.push("list", path=str(tmp_path))
    listed = json.loads(files.wire.result(job)["data"])
    assert [entry["name"] for entry in listed] == sorted(str(number) for number in range(count))
    files.wire.redis.delete(files.wire.keys.result(job))


def test_stat(files: Files, tmp_path: Path) -> None:
    """What is known of a file; a link stands for what it names, and is told to be one."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"12345")
    path.chmod(0o4640)
    os.utime(path, ns=(0, 1_234_567_890_999_999))
    link.symlink_to(path)
    status = files.ask("stat", path=str(path))
    owner, group = path.owner(), path.group()
    assert status == {
        "size": 5,
        "mode": 0o4640,
        "is_dir": False,
        "is_link": False,
        "mtime": 1_234_567_890,
        "user": owner,
        "group": group,
    }
    assert files.ask("stat", path=str(link)) == {**status, "is_link": True}
    assert files.ask("stat", path=str(tmp_path))["is_dir"] is True
    path.unlink()
    for gone in (path, link):
        assert files.refused("stat", path=str(gone)) == (404, "path")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owners(files: Files, tmp_path: Path) -> None:
    """By name or number, one of them or both, of a path or all below it."""
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "file"
    path.touch()
    folder = str(tmp_path / "d")
    assert files.ask("chown", path=folder, user="daemon", group="daemon", recursive=True) is None
    status = files.ask("stat", path=str(path))
    assert (status["user"], status["group"]) == ("daemon", "daemon")
    assert files.ask("chown", path=str(path), user=654321, group="") is None
    status = files.ask("stat", path=str(path))
    assert (status["user"], status["group"]) == ("654321", "daemon")
    assert files.ask("chown", path=str(path), group="0") is None
    assert path.stat().st_gid == 0
    assert (tmp_path / "d").stat().st_uid != 654321
    assert files.refused("chown", path=str(path), user="no-such-user") == (404, "user")
    assert files.refused("chown", path=str(path), user="", group="") == (400, "user")
    assert files.refused("chown", path=str(tmp_path / "none"), user="root") == (404, "path")


def test_permissions(files: Files, tmp_path: Path) -> None:
    """Of one path, or of all below it; links lead nowhere."""
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.touch(0o600)
    (top / "d").mkdir(parents=True)
    (top / "d" / "file").touch()
    (top / "link").symlink_to(outside)
    assert files.ask("chmod", path=str(top / "d"), mode=0o711) is None
    assert mode_of(top / "d") == 0o711
    assert mode_of(top / "d" / "file") != 0o711
    assert files.ask("chmod", path=str(top), mode="0750", recursive=True) is None
    modes = [mode_of(path) for path in (top, top / "d", top / "d" / "file", outside)]
    assert modes == [0o750, 0o750, 0o750, 0o600]
    for wrong in ("", "x", -1, 0o10000):
        assert files.refused("chmod", path=str(top), mode=wrong) == (400, "mode")
    assert files.refused("chmod", path=str(top / "none"), mode=0) == (404, "path")
    assert files.refused("chmod", path=str(top / "none"), mode=0, recursive=True) == (404, "path")


def test_mkdir(files: Files, tmp_path: Path) -> None:
    """With parents, and again; not where something else is."""
    for path in ("a/b/c", "a/b/c", "a/b/", "x//y/./z/../w", "d/" * 1100):
        assert files.ask("mkdir", path=f"{tmp_path}/{path}") is None
        assert os.path.isdir(f"{tmp_path}/{path}")
    assert files.ask("mkdir", path="/") is None
    (tmp_path / "file").touch()
    assert files.refused("mkdir", path=str(tmp_path / "file")) == (409, "path")
    assert files.refused("mkdir", path=str(tmp_path / "file" / "x" / "y")) == (400, "path")
    assert files.ask("remove", path=str(tmp_path / "d")) is None


def test_remove(files: Files, tmp_path: Path) -> None:
    """A file, a tree, nothing at all; what links lead to stays, and so do mount points."""
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (kept / "inner" / "file").touch()
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "link").symlink_to(kept)
    (top / "a" / "file").touch()
    os.mkfifo(top / "pipe")
    (tmp_path / "link").symlink_to(kept)
    for name in ("top/a/file", "top", "top", "link", "none/none"):
        assert files.ask("remove", path=str(tmp_path / name)) is None
    assert os.listdir(tmp_path) == ["kept"]
    assert (kept / "inner" / "file").exists()
    assert files.refused("remove", path="/proc") == (403, "path")
    assert files.refused("remove", path=f"{kept}/inner/..") == (400, "path")
    assert files.refused("remove", path=f"{kept}/inner/file/x") == (400, "path")


def test_move(files: Files, tmp_path: Path) -> None:
    """As rename(2) does it: in the place of a file, or of an empty directory."""
    file, other, folder, full = (tmp_path / name for name in ("file", "other", "folder", "full"))
    file.write_text("file")
    other.write_text("other")
    folder.mkdir()
    (full / "x").mkdir(parents=True)

    def move(path: Path, destination: Path) -> None:
        assert files.ask("move", path=str(path), destination=str(destination)) is None

    def refused(path: Path, destination: Path) -> tuple[int, str]:
        return files.refused("move", path=str(path), destination=str(destination))

    move(file, other)
    assert (other.read_text(), file.exists()) == ("file", False)
    assert refused(other, full) == (400, "destination")
    assert refused(full, other) == (400, "destination")
    assert refused(folder, full) == (409, "destination")
    assert refused(full, full / "x" / "y") == (400, "destination")
    assert refused(other, tmp_path / "none" / "x") == (404, "destination")
    assert refused(tmp_path / "none", other) == (404, "path")
    move(full, folder)
    assert (sorted(os.listdir(tmp_path)), os.listdir(folder)) == (["folder", "other"], ["x"])
    (tmp_path / "link").symlink_to("nothing")
    move(tmp_path / "link", tmp_path / "moved")
    assert os.readlink(tmp_path / "moved") == "nothing"


def test_what_is_not_allowed(files: Files) -> None:
    """It is a 403, whoever the agent is."""
    assert files.refused("mkdir", path="/sys/x") == (403, "path")
    assert files.refused("remove", path="/proc/self/status") == (403, "path")
    assert files.refused("open", file="/sys/x", mode="x") == (403, "file")


# -- checksums and ends -----------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [None, "sha256", "md5", "sha512", "blake2b"])
def test_checksum(files: Files, tmp_path: Path, algorithm: str | None) -> None:
    """In hexadecimal; sha256 unless another is asked for."""
    content = ODD * 3000
    (tmp_path / "file").write_bytes(content)
    answer = files.ask("checksum", path=str(tmp_path / "file"), algorithm=algorithm)
    assert answer == hashlib.new(algorithm or "sha256", content).hexdigest()


@pytest.mark.parametrize("algorithm", ["", "SHA256", "crc32", "shake_128", "sha256\0"])
def test_what_is_no_algorithm(files: Files, tmp_path: Path, algorithm: str) -> None:
    """It is a bad request, whatever Python knows besides."""
    (tmp_path / "file").touch()
    code = files.refused("checksum", path=str(tmp_path / "file"), algorithm=algorithm)
    assert code == (400, "algorithm")


def test_what_takes_long_ends_with_its_job(
    files: Files, shared_node: NodeProcess, tmp_path: Path
) -> None:
    """A killed job's thread lets go of the file; one has `max_time` like any other."""
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, 2**42)
    killed = files.push("checksum", path=str(path))
    eventually(lambda: held_by(shared_node, path), "it reads the file")
    files.wire.push("job.kill", {"id": killed}, control=True)
    assert files.wire.result(killed)["state"] == "KILLED"
    eventually(lambda: not held_by(shared_node, path), "it has let go of the file")
    late = files.wire.push("filesystem.checksum", {"path": str(path)}, max_time=0.2)
    assert files.wire.result(late)["state"] == "TIMEOUT"
    eventually(lambda: not held_by(shared_node, path), "it has let go of the file")
