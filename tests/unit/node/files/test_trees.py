"""Removing trees and changing their permissions and owners, while others write to them."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from corex_node.builtins.files.mounts import mounts_within
from corex_node.builtins.files.permissions import (
    Owner,
    change_mode,
    change_owner,
    find_owner,
    parse_mode,
)
from corex_node.builtins.files.place import DIRECTORY, checked, parted, place
from corex_node.builtins.files.removal import remove
from corex_node.builtins.files.walk import walk
from corex_shared.errors import (
    BadRequestError,
    CommandError,
    ConflictError,
    ForbiddenError,
    NotAcceptableError,
    NotFoundError,
)

DEPTH = 1100
"""Levels that no recursion in Python reaches, nor a path."""
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root may do this")


def never() -> bool:
    """Nobody stops it."""
    return False


def stop_after(steps: int) -> Callable[[], bool]:
    """Stop when it was asked so often."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def make_deep(top: Path, depth: int) -> None:
    """Make directories within each other, with a file in some."""
    top.mkdir()
    at = os.open(top, DIRECTORY)
    for level in range(depth):
        os.mkdir("deep", dir_fd=at)
        if level % 10 == 0:
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        below = os.open("deep", DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A tree deeper than what others can remove."""
    top = tmp_path / "deep"
    make_deep(top, DEPTH)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    (folder / "kept").chmod(0o640)
    folder.chmod(0o750)
    return folder


def unharmed(outside: Path) -> bool:
    """Whether it has."""
    kept = outside / "kept"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (outside, kept)]
    return kept.read_text() == "kept" and modes == [0o750, 0o640] and kept.stat().st_uid == 0


@pytest.fixture
def tree(tmp_path: Path, outside: Path) -> Path:
    """Files, directories, and links that lead out of it."""
    top = tmp_path / "tree"
    for folder in (top / "a" / "b", top / "c"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        (folder / "dir-link").symlink_to(outside)
        (folder / "file-link").symlink_to(outside / "kept")
        (folder / "lost-link").symlink_to(outside / "nothing")
    os.mkfifo(top / "pipe")
    return top


# -- remove ---------------------------------------------------------------------------------


@needs_root
def test_links_are_removed_and_not_followed(tree: Path, outside: Path) -> None:
    """A tree goes with its links; what they lead to stays."""
    before = open_descriptors()
    remove(str(tree), never)
    assert not tree.exists()
    assert unharmed(outside)
    assert open_descriptors() == before


def test_a_link_is_removed_itself(tmp_path: Path, outside: Path) -> None:
    """With a slash at its end too."""
    for end in ("", "/", "//"):
        link = tmp_path / "link"
        link.symlink_to(outside)
        remove(f"{link}{end}", never)
        assert not link.is_symlink()
    assert (outside / "kept").exists()


def test_a_deep_tree(deep: Path) -> None:
    """Its depth costs neither descriptors nor stack."""
    most = 0
    before = open_descriptors()

    def count() -> bool:
        nonlocal most
        most = max(most, open_descriptors() - before)
        return False

    remove(str(deep), count)
    assert not deep.exists()
    assert most < 8


def test_a_stop(tmp_path: Path) -> None:
    """It ends between two steps, and another one ends the work."""
    make_deep(tmp_path / "deep", 100)
    before = open_descriptors()
    with pytest.raises(CommandError, match="stopped"):
        remove(str(tmp_path / "deep"), stop_after(20))
    assert (tmp_path / "deep").exists()
    assert open_descriptors() == before
    remove(str(tmp_path / "deep"), never)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("path", ["/", "//", "///"])
def test_the_root_directory_has_no_place(path: str) -> None:
    """Whatever goes by places leaves it alone."""
    with pytest.raises(ForbiddenError, match=r"^path: /: "):
        parted("path", path)


@pytest.mark.parametrize("path", [".", "..", "/tmp/..", "a/.", "../", "/tmp/../"])
def test_a_path_without_a_name_has_no_place(path: str) -> None:
    """It would be the root directory's by another name."""
    with pytest.raises(BadRequestError, match=r"^path: "):
        parted("path", path)


def test_mount_points_are_found(tmp_path: Path) -> None:
    """At a path and below it, whatever their names."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 28 0:21 / / rw shared:1 - ext4 /dev/root rw\n"
        "23 28 0:21 / /srv/a\\040b\\134c rw - tmpfs tmpfs rw\n"
        "24 28 0:21 / /srv/data rw,nosuid shared:7 - tmpfs tmpfs rw\n"
        "25 28 0:21 / /srv/data/in/side rw master:1 - tmpfs tmpfs rw\n"
    )
    found = {
        path: mounts_within(path, str(table))
        for path in ("/srv/data", "/srv/dat", "/srv/data/in", "/srv/a b\\c", "/srv/data/x")
    }
    assert found == {
        "/srv/data": ["/srv/data", "/srv/data/in/side"],
        "/srv/dat": [],
        "/srv/data/in": ["/srv/data/in/side"],
        "/srv/a b\\c": ["/srv/a b\\c"],
        "/srv/data/x": [],
    }
    assert len(mounts_within("/", str(table))) == 4


@pytest.mark.parametrize("path", ["/proc", "/proc/", "/proc/../proc", "/proc/self/root/proc"])
def test_mount_points_are_not_removed(path: str) -> None:
    """By whatever way they are named, links included."""
    with pytest.raises(ForbiddenError, match="mount point"):
        remove(path, never)


# -- others write to it -----------------------------------------------------------------------


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange what has two names again and again."""
    over = threading.Event()
    spare = one.with_name("spare")

    def swap() -> None:
        while not over.is_set():
            for source, target in ((one, spare), (other, one), (one, other), (spare, one)):
                try:
                    os.rename(source, target)
                except FileNotFoundError:
                    return

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_directory_that_becomes_a_link_as_it_is_entered(tmp_path: Path, outside: Path) -> None:
    """It is visited as the link that it is now."""
    top = tmp_path / "top"
    (top / "victim").mkdir(parents=True)

    class Swapper:
        """Replaces the directory at the last moment."""

        visited: tuple[str, ...] = ()

        def enter(self, at: int, name: str) -> bool:
            if name == "victim":
                (top / "victim").rmdir()
                (top / "victim").symlink_to(outside)
            return True

        def leave(self, at: int, name: str) -> None:
            assert name == "top"

        def visit(self, at: int, name: str) -> None:
            self.visited = (*self.visited, name)

    swapper = Swapper()
    with place("path", str(top)) as start:
        walk(start, swapper, never)
    assert swapper.visited == ("victim",)


def test_a_directory_that_becomes_a_link(tmp_path: Path, outside: Path) -> None:
    """Whenever that happens, the walk does not follow it."""
    for _ in range(100):
        victim = tmp_path / "tree" / "victim"
        victim.mkdir(parents=True)
        for number in range(5):
            (victim / f"f{number}").touch()
        link = tmp_path / "link"
        link.symlink_to(outside)
        with swapping(victim, link), suppress(ConflictError, NotFoundError):
            remove(str(tmp_path / "tree"), never)
        assert (outside / "kept").exists()
        for left in (tmp_path / "tree", link, tmp_path / "spare"):
            remove(str(left), never)


def test_a_directory_that_is_moved_while_the_walk_is_in_it(tmp_path: Path) -> None:
    """The way up must be where it came from: what is beside its new place is not touched."""
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    (top / "moved" / "inner").mkdir(parents=True)
    (top / "moved" / "inner" / "file").touch()
    elsewhere.mkdir()
    (elsewhere / "moved").mkdir()
    (elsewhere / "moved" / "kept").touch()

    class Mover:
        """Moves the directory while it is in it."""

        left: tuple[str, ...] = ()

        def enter(self, at: int, name: str) -> bool:
            return True

        def leave(self, at: int, name: str) -> None:
            self.left = (*self.left, name)

        def visit(self, at: int, name: str) -> None:
            (top / "moved").rename(elsewhere / "here")

    mover = Mover()
    before = open_descriptors()
    with (
        place("path", str(top)) as start,
        pytest.raises(ConflictError, match=r"^path: .*/top.*moved meanwhile"),
    ):
        walk(start, mover, never)
    assert mover.left == ("inner",)
    assert open_descriptors() == before


def test_an_error_names_what_it_is_about(tmp_path: Path) -> None:
    """The whole path, also of a name that is no UTF-8."""
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    bad = os.fsdecode(b"\xff")
    (top / "a" / bad).touch()

    class Failing:
        """Fails at a file."""

        def enter(self, at: int, name: str) -> bool:
            return True

        def leave(self, at: int, name: str) -> None:
            raise AssertionError

        def visit(self, at: int, name: str) -> None:
            raise PermissionError(1, "no")

    with place("path", str(top)) as start, pytest.raises(PermissionError) as caught:
        walk(start, Failing(), never)
    assert caught.value.filename == f"{top}/a/{bad}"


# -- permissions and owners ---------------------------------------------------------------------


@needs_root
def test_modes_of_a_tree(tree: Path, outside: Path) -> None:
    """All of it has them but links; what those lead to stays."""
    change_mode(str(tree), 0o701, recursive=True, stopped=never)
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            assert stat.S_IMODE(path.lstat().st_mode) == 0o701
    assert unharmed(outside)


@needs_root
def test_owners_of_a_tree(tree: Path, outside: Path) -> None:
    """All of it has them, links themselves too; what those lead to stays."""
    change_owner(str(tree), Owner(1234, 5678), recursive=True, stopped=never)
    for path in (tree, *tree.rglob("*")):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (1234, 5678)
    change_owner(str(tree), Owner(-1, 42), recursive=True, stopped=never)
    assert (tree.stat().st_uid, tree.stat().st_gid) == (1234, 42)
    assert unharmed(outside)


@needs_root
def test_a_tree_that_is_named_by_a_link(tmp_path: Path, outside: Path) -> None:
    """Its permissions are refused, its owner is the link's own: nothing is followed."""
    link = tmp_path / "link"
    link.symlink_to(outside)
    for end in ("", "/"):
        with pytest.raises(NotAcceptableError, match=r"^path: .*link"):
            change_mode(f"{link}{end}", 0o777, recursive=True, stopped=never)
        change_owner(f"{link}{end}", Owner(1234, 1234), recursive=True, stopped=never)
    assert link.lstat().st_uid == 1234
    assert (outside.stat().st_uid, unharmed(outside)) == (0, True)


@needs_root
def test_one_path_is_followed(tmp_path: Path, outside: Path) -> None:
    """Without `recursive`, a link stands for what it names."""
    link = tmp_path / "link"
    link.symlink_to(outside / "kept")
    change_mode(str(link), 0o4711, recursive=False, stopped=never)
    assert stat.S_IMODE((outside / "kept").stat().st_mode) == 0o4711
    change_owner(str(link), Owner(1, 2), recursive=False, stopped=never)
    assert (outside / "kept").stat().st_uid == 1
    assert link.lstat().st_uid == 0


def test_a_directory_that_may_not_be_entered_before(tmp_path: Path) -> None:
    """Nor afterwards: it gets all of the rights that it is to have, and no others."""
    closed = tmp_path / "top" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0)
    change_mode(str(tmp_path / "top"), 0o750, recursive=True, stopped=never)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (closed, closed / "file")] == [0o750] * 2
    change_mode(str(tmp_path / "top"), 0o400, recursive=True, stopped=never)
    assert stat.S_IMODE((tmp_path / "top").stat().st_mode) == 0o400
    change_mode(str(tmp_path / "top"), 0o700, recursive=True, stopped=never)


def test_stopping_a_change(tmp_path: Path) -> None:
    """It ends between two steps."""
    make_deep(tmp_path / "deep", 20)
    with pytest.raises(CommandError, match="stopped"):
        change_mode(str(tmp_path / "deep"), 0o711, recursive=True, stopped=stop_after(5))
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) != 0o711


@pytest.mark.parametrize(
    "given, mode",
    [(0o644, 0o644), ("644", 0o644), ("0644", 0o644), ("0o644", 0o644), ("07777", 0o7777), (0, 0)],
)
def test_ways_to_write_permissions(given: int | str, mode: int) -> None:
    """A number as it is, text as octal digits."""
    assert parse_mode("mode", given) == mode


@pytest.mark.parametrize("given", [-1, 0o10000, "10000", "", "rwx", "8", "0x1f", "-1", " 644", "٦"])
def test_what_is_no_permissions(given: int | str) -> None:
    """It is a bad request that names the argument."""
    with pytest.raises(BadRequestError, match=r"^mode: "):
        parse_mode("mode", given)


def test_users_and_groups() -> None:
    """By name, by number, by a number as text; none of them stays as it is."""
    assert find_owner("root", "root") == Owner(0, 0)
    assert find_owner(12, "34") == Owner(12, 34)
    assert find_owner(None, "0") == Owner(-1, 0)
    assert find_owner(0, "") == Owner(0, -1)


@pytest.mark.parametrize(
    "user, group, error, named",
    [
        (None, None, BadRequestError, "user"),
        ("", "", BadRequestError, "user"),
        ("no-such-user", None, NotFoundError, "user"),
        (None, "no-such-group", NotFoundError, "group"),
        (-1, None, BadRequestError, "user"),
        (2**32 - 1, None, BadRequestError, "user"),
        ("4294967295", None, BadRequestError, "user"),
        (None, 2**70, BadRequestError, "group"),
        ("9" * 5000, None, NotFoundError, "user"),
        ("root\0", None, NotFoundError, "user"),
        ("-1", None, NotFoundError, "user"),
    ],
)
def test_nobody(
    user: str | int | None, group: str | int | None, error: type[CommandError], named: str
) -> None:
    """Whoever does not exist is not found; what cannot be a number is a bad request."""
    with pytest.raises(error, match=f"^{named}: "):
        find_owner(user, group)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 4096, "é" * 2048, "\ud800"])
def test_what_is_no_path(path: str) -> None:
    """It is refused before the system sees it."""
    with pytest.raises(BadRequestError, match=r"^file: "):
        checked("file", path)
