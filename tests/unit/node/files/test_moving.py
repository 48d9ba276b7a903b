"""Moving to another file system."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from corex_node.builtins.files.moving import move
from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ConflictError,
    InternalError,
    NotFoundError,
)
from tests.unit.node.files.test_trees import (
    DEPTH,
    deep,
    make_deep,
    never,
    open_descriptors,
    stop_after,
)

__all__ = ["deep"]  # a fixture

MEMORY = Path("/dev/shm")
CONTENT = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    folder = tempfile.mkdtemp(dir=MEMORY)
    yield Path(folder)
    subprocess.run(["rm", "-rf", folder], check=True)  # the tree may be a deep one


def names(folder: Path) -> list[str]:
    """What is in a folder: parts that are left would be among it."""
    return sorted(os.listdir(folder))


def test_a_file(tmp_path: Path, far: Path) -> None:
    """It arrives as it was, in the place of one that is there."""
    source, target = tmp_path / "source", far / "target"
    source.write_bytes(CONTENT)
    source.chmod(0o4751)
    os.utime(source, ns=(10**18 + 1, 10**18 + 2))
    target.write_text("former")
    before = open_descriptors()
    move(str(source), str(target), never)
    assert target.read_bytes() == CONTENT
    status = target.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o4751, 10**18 + 2)
    assert (names(tmp_path), names(far)) == ([], ["target"])
    assert open_descriptors() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")
def test_a_tree(tmp_path: Path, far: Path) -> None:
    """All kinds of files arrive as they were, with owners and permissions; links stay links."""
    source, target = tmp_path / "source", far / "target"
    inner = source / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(CONTENT)
    (inner / os.fsdecode(b"\xff")).write_text("odd name")
    (source / "link").symlink_to("/no/where")
    (source / "folder-link").symlink_to("a/b")
    os.mkfifo(source / "pipe")
    (source / "pipe").chmod(0o626)
    os.mknod(source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (source / "a").chmod(0o1711)
    for path, owner in ((inner, 1234), (source / "link", 1235), (source / "pipe", 1236)):
        os.chown(path, owner, owner, follow_symlinks=False)
    os.utime(source / "a", (1_000_000_000, 1_000_000_000))
    target.mkdir()  # an empty one makes room
    before = open_descriptors()
    move(str(source), str(target), never)
    assert (target / "a" / "b" / "file").read_bytes() == CONTENT
    assert (target / "a" / "b" / os.fsdecode(b"\xff")).read_text() == "odd name"
    links = [os.readlink(target / name) for name in ("link", "folder-link")]
    assert links == ["/no/where", "a/b"]
    owners = [(target / name).lstat().st_uid for name in ("a/b", "link", "pipe", "a")]
    assert owners == [1234, 1235, 1236, 0]
    assert stat.S_ISFIFO((target / "pipe").stat().st_mode)
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)
    modes = [stat.S_IMODE((target / name).stat().st_mode) for name in ("a", "pipe", "null")]
    assert modes == [0o1711, 0o626, 0o600]
    assert (target / "a").stat().st_mtime == 1_000_000_000
    assert (names(tmp_path), names(far)) == ([], ["target"])
    assert open_descriptors() == before


def test_attributes(tmp_path: Path, far: Path) -> None:
    """They arrive too, where both file systems have them."""
    source = tmp_path / "source"
    source.touch()
    try:
        for path in (source, far):
            os.setxattr(path, "user.colour", b"blue")
    except OSError:
        pytest.skip("no attributes on one of the file systems")
    move(str(source), str(far / "target"), never)
    assert os.getxattr(far / "target", "user.colour") == b"blue"


def test_a_deep_tree(deep: Path, far: Path) -> None:
    """Its depth costs neither descriptors nor stack."""
    before = open_descriptors()
    move(str(deep), str(far / "target"), never)
    assert (names(deep.parent), names(far)) == ([], ["target"])
    depth = 0
    at = os.open(far / "target", os.O_RDONLY)
    while "deep" in os.listdir(at):
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at, depth = below, depth + 1
    os.close(at)
    assert depth == DEPTH
    assert open_descriptors() == before


@pytest.mark.parametrize("steps", [0, 1, 3, 30])
def test_a_stop_leaves_all_as_it_was(tmp_path: Path, far: Path, steps: int) -> None:
    """Whenever it comes: nothing is at the destination or beside it, the source is whole."""
    source = tmp_path / "source"
    make_deep(source, 50)
    (source / "big").write_bytes(CONTENT)
    before = open_descriptors()
    with pytest.raises(CommandError, match="stopped"):
        move(str(source), str(far / "target"), stop_after(steps))
    assert names(far) == []
    assert (source / "big").read_bytes() == CONTENT
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "source, target, error",
    [
        ("file", "full", BadRequestError),
        ("file", "empty", BadRequestError),
        ("dir", "former", BadRequestError),
        ("dir", "full", ConflictError),
        ("none", "new", NotFoundError),
        ("file", "none/new", NotFoundError),
        ("file", "former/new", BadRequestError),
    ],
)
def test_what_does_not_fit(
    tmp_path: Path, far: Path, source: str, target: str, error: type[CommandError]
) -> None:
    """The same is refused as on one file system, and nothing has changed."""
    for folder in (tmp_path, far):
        (folder / "dir").mkdir()
        (folder / "empty").mkdir()
        (folder / "full").mkdir()
        (folder / "full" / "x").touch()
        (folder / "file").write_text("file")
        (folder / "former").write_text("former")
    before = names(far)
    with pytest.raises(error) as there:  # found out before anything is copied
        move(str(tmp_path / source), str(far / target), lambda: True)
    with pytest.raises(error) as here:
        move(str(tmp_path / source), str(tmp_path / target), never)
    assert str(there.value).partition(":")[0] == str(here.value).partition(":")[0]
    assert names(far) == before
    assert (far / "former").read_text() == "former"


def test_a_full_disk(tmp_path: Path, far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error about the destination, which is left as it was."""
    source, target = tmp_path / "source", far / "target"
    source.write_bytes(CONTENT)
    target.write_text("former")
    real = os.write

    def write(number: int, data: memoryview) -> int:
        if os.fstat(number).st_size > 1_000_000:
            raise OSError(28, "No space left on device")
        return real(number, data[:500_000])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(InternalError, match=r"^destination: .*target: no space left on device"):
        move(str(source), str(target), never)
    monkeypatch.undo()
    assert (target.read_text(), source.read_bytes() == CONTENT) == ("former", True)
    assert names(far) == ["target"]
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
