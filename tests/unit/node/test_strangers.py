"""Signals to processes by their numbers, without an agent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from corex_node.process.strangers import signal_stranger
from corex_shared.errors import BadRequestError, ForbiddenError, NotFoundError


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _not_permitted(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_no_descriptor_is_left_whatever_comes_of_it(
    stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _descriptors()
    signal_stranger(stranger.pid, signal.SIGCONT, ())
    assert _descriptors() == before
    monkeypatch.setattr(signal, "pidfd_send_signal", _not_permitted)
    with pytest.raises(ForbiddenError, match=f"^pid: {stranger.pid}: Operation not permitted"):
        signal_stranger(stranger.pid, signal.SIGCONT, ())
    assert _descriptors() == before


def test_who_is_refused_gets_nothing(
    stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is even looked up: not the first process, no group, not ourselves, not our own."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", lambda *_: pytest.fail("looked up"))
        for pid in (1, 0, -1, -stranger.pid, -sys.maxsize):
            with pytest.raises(BadRequestError, match=f"^pid: {pid}: "):
                signal_stranger(pid, signal.SIGKILL, ())
        for pid in (os.getpid(), stranger.pid):
            with pytest.raises(ForbiddenError, match=f"^pid: {pid}: "):
                signal_stranger(pid, signal.SIGKILL, [stranger.pid])
        with pytest.raises(NotFoundError, match=f"^pid: {2**31}: "):
            signal_stranger(2**31, signal.SIGKILL, ())
    assert stranger.poll() is None
