"""Reading and writing one file, when the system does less than it is asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corex_node.builtins.files.listing import list_directory
from corex_node.builtins.files.open_file import OpenFile
from corex_node.builtins.files.open_mode import parse_open_mode
from corex_shared.errors import (
    CommandError,
    InternalError,
    NotAcceptableError,
    ServiceUnavailableError,
)
from tests.helpers.eventually import eventually
from tests.unit.node.files.test_trees import never, stop_after


def some(real: Callable[..., int], most: int, fail_after: int | None) -> Callable[..., int]:
    """A write that takes few bytes at once, and none after some calls."""
    calls = 0

    def write(number: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if fail_after is not None and calls > fail_after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(number, data[:most])

    return write


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = tmp_path / "file"
    made.write_bytes(b"0123456789")
    return str(made)


def test_all_is_written(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little the system takes at once."""
    file = OpenFile(path, parse_open_mode("r+"), 0)
    monkeypatch.setattr(os, "write", some(os.write, 3, None))
    file.write(b"abcdefgh", 1)
    monkeypatch.undo()
    assert file.read(20, 0) == b"0abcdefgh9"
    file.close()


def test_a_disk_that_becomes_full(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told how much was written; then the file is used on."""
    file = OpenFile(path, parse_open_mode("r+"), 0)
    monkeypatch.setattr(os, "write", some(os.write, 3, 2))
    with pytest.raises(InternalError, match=r"^fd: .*: 6 of 8 bytes .*: no space left on device"):
        file.write(b"abcdefgh")
    monkeypatch.undo()
    file.write(b"AB")
    assert file.read(20, 0) == b"abcdefAB89"
    file.close()


def test_all_is_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little the system gives at once; an error later on does not cost what was read."""
    file = OpenFile(path, parse_open_mode("r"), 0)
    real, calls = os.read, 0

    def read(number: int, size: int) -> bytes:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(number, min(size, 3))

    monkeypatch.setattr(os, "read", read)
    assert file.read(5) == b"01234"
    assert calls == 2
    calls = 1
    assert file.read(5) == b"567"
    with pytest.raises(InternalError, match=r"^fd: .*: input/output error"):
        file.read(5)
    monkeypatch.undo()
    file.close()


def test_a_terminal_is_not_waited_for() -> None:
    """Nothing to read is told at once; it has no places."""
    master, slave = os.openpty()
    file = OpenFile(os.ttyname(slave), parse_open_mode("r+"), 0)
    with pytest.raises(ServiceUnavailableError, match=r"^fd: "):
        file.read(10)
    os.write(master, b"hello\n")
    assert file.read(10) == b"hello\n"
    with pytest.raises(NotAcceptableError, match=r"^offset: "):
        file.read(10, 0)
    file.close()
    os.close(slave)
    os.close(master)


def test_a_pipe_is_left_alone(tmp_path: Path) -> None:
    """Whoever waits at its other end does not notice that it was refused."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(os.open, pipe, os.O_WRONLY)
        eventually(waiting.running)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        with pytest.raises(NotAcceptableError, match=r"^file: "):
            OpenFile(str(pipe), parse_open_mode("r"), 0)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.close(waiting.result(10))
        os.close(reader)


def test_a_directory_that_is_too_large_to_list(tmp_path: Path) -> None:
    """It is refused; one of just that size is not."""
    for name in "abc":
        (tmp_path / name).touch()
    assert len(list_directory(str(tmp_path), never, 3)) == 3
    with pytest.raises(NotAcceptableError, match=r"^path: .*more than 2 entries"):
        list_directory(str(tmp_path), never, 2)
    with pytest.raises(CommandError, match="stopped"):
        list_directory(str(tmp_path), stop_after(2))
