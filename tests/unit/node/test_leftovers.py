"""What an agent that is gone left behind is gone too before anything of it is run again."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corex_node.process import leftovers
from corex_node.process.leftovers import end_leftovers
from corex_node.process.orphans import marks_of
from corex_node.process.program import JOB_MARK, NODE_MARK

_SCOPE = f"leftovers-{os.getpid()}"


@pytest.fixture
def left() -> Iterator[subprocess.Popen[bytes]]:
    """A process of job `a`, which is no descendant of ours to the one that looks."""
    env = {**os.environ, JOB_MARK: "a", NODE_MARK: _SCOPE}
    with subprocess.Popen(["sleep", "300"], env=env) as process:
        environ = Path(f"/proc/{process.pid}/environ")
        while JOB_MARK.encode() not in environ.read_bytes():  # it is not the program yet
            time.sleep(0.01)
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def nothing_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test's own children looked at."""
    monkeypatch.setattr(leftovers, "descendants", lambda roots: [])


def test_those_of_the_jobs_are_killed(left: subprocess.Popen[bytes]) -> None:
    assert end_leftovers(_SCOPE, {"b"}) == 0
    assert left.poll() is None
    assert end_leftovers(_SCOPE, {"a"}) == 0
    assert left.wait(10) == -9


def test_one_that_bears_no_marks_any_more_is_waited_for(
    left: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies: its memory is gone, its files and the locks on them are not."""
    told = threading.Event()
    read = marks_of
    monkeypatch.setattr(
        leftovers, "marks_of", lambda pid, names: {} if told.is_set() else read(pid, names)
    )
    monkeypatch.setattr(leftovers, "signal_member", lambda member, number: told.set())
    ended: list[int] = []
    looking = threading.Thread(target=lambda: ended.append(end_leftovers(_SCOPE, {"a"})))
    looking.start()
    assert told.wait(10)
    looking.join(0.3)
    assert looking.is_alive()
    left.kill()
    looking.join(10)
    assert ended == [0]


def test_one_found_dying_is_waited_for(
    left: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell any more whose it was."""
    looks: list[int] = []

    def is_exiting(pid: int) -> bool:
        if pid == left.pid:
            looks.append(pid)
        return pid == left.pid and len(looks) < 4

    monkeypatch.setattr(leftovers, "marks_of", lambda pid, names: {})
    monkeypatch.setattr(leftovers, "is_exiting", is_exiting)
    assert end_leftovers(_SCOPE, {"a"}) == 0
    assert len(looks) == 4
