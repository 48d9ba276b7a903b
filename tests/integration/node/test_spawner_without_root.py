"""A spawner that is not root meets processes that it may not signal: it goes on all the same."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from corex_node.process import packets
from corex_node.process.orphans import KILL_PATIENCE
from corex_node.process.packets import End, Ended, Event, Exited, Start, Started, Stop, encode_item
from corex_node.process.program import JOB_MARK, ProgramSpec
from tests.helpers.eventually import eventually
from tests.helpers.processes import is_gone

_NOBODY = 65534
# The interpreter may lie where only root may look; that right is no right to signal.
_KEPT = "-all,+dac_read_search"
_DROP = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", f"--inh-caps={_KEPT}"]
_DROP += [f"--ambient-caps={_KEPT}", f"--bounding-set={_KEPT},+setuid,+setgid,+setpcap"]


class Spawner:
    """A spawner, spoken to as an agent speaks to it."""

    def __init__(self, prefix: list[str]) -> None:
        """Start it."""
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.settimeout(10)
        self._heard: list[Event] = []
        with theirs:
            number = str(theirs.fileno())
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "corex_node.process.spawner", number],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )

    def say(self, request: Start | Stop | End, *fds: int) -> None:
        """Send a request."""
        packets.send_packet(self._sock, [encode_item(request)], fds)

    def start(self, number: int, *argv: str) -> int:
        """Start a program without output; return its process ID."""
        null = os.open(os.devnull, os.O_RDWR)
        spec = ProgramSpec(argv, marks={JOB_MARK: f"job-{number}"})
        self.say(Start(number, spec, False), null, null)
        os.close(null)
        event = self.hear()
        assert isinstance(event, Started), event
        return event.pid

    def hear(self) -> Event:
        """Wait for the next event."""
        while not self._heard:
            self._heard = packets.receive_events(self._sock) or []
            assert self._heard, "the spawner is gone"
        return self._heard.pop(0)

    def close(self) -> None:
        """Let it end."""
        self._sock.close()
        self.process.wait(20)


@pytest.fixture
def become_root(tmp_path: Path) -> Iterator[str]:
    """A program that is root whoever starts it, and becomes what its arguments say."""
    found = shutil.which("setpriv")
    if os.geteuid() != 0 or found is None:
        pytest.skip("only root can make such a program")
    folder = Path("/var/tmp", tmp_path.parent.name + tmp_path.name)
    folder.mkdir(mode=0o755)
    tool = folder / "tool"
    try:
        shutil.copy(found, tool)
        tool.chmod(0o755 | stat.S_ISUID)
        tried = [found, *_DROP, str(tool), "--ruid=0", "id", "-ru"]
        told = subprocess.run(tried, capture_output=True, check=False).stdout
        if told != b"0\n":
            pytest.skip("set-user-ID programs do not work here")
        yield f"{tool} --ruid=0"
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    """A spawner that is nobody."""
    spawner = Spawner(["setpriv", *_DROP])
    yield spawner
    spawner.close()


def _end(spawner: Spawner, number: int) -> int:
    """Have a program's job ended; return how many survive, which is to be known at once."""
    began = time.monotonic()
    spawner.say(End(number))
    ended = spawner.hear()
    assert isinstance(ended, Ended)
    assert ended.child == number
    assert time.monotonic() - began < KILL_PATIENCE - 0.5
    return ended.survivors


def test_survivors_are_counted_and_hold_up_nobody(become_root: str, spawner: Spawner) -> None:
    """What may not be killed is told of at once, and later programs neither wait nor count it."""
    name = f"survivor-{os.getpid()}"
    script = f"setsid {become_root} sh -c 'sleep 300; : {name}' & wait"
    spawner.start(1, "sh", "-c", script)
    [root] = eventually(lambda: _roots(name), "the program of root")
    spawner.say(Stop(1, signal.SIGTERM))
    assert spawner.hear() == Exited(1, 0, signal.SIGTERM)
    assert _end(spawner, 1) == 1
    for number in (2, 3):
        spawner.start(number, "true")
        assert spawner.hear() == Exited(number, 0, 0)
        assert _end(spawner, number) == 0
    assert not is_gone(root)
    for process in [root, *root.children(recursive=True)]:
        process.kill()
    eventually(lambda: not psutil.pid_exists(root.pid), "the spawner reaps it")


def test_a_program_that_becomes_root_is_left_alone(become_root: str, spawner: Spawner) -> None:
    """Signals to it are in vain, and the spawner serves on."""
    name = f"program-{os.getpid()}"
    spawner.start(1, *become_root.split(), "sh", "-c", f"sleep 300; : {name}")
    [root] = eventually(lambda: _roots(name), "the program of root")
    spawner.say(Stop(1, signal.SIGTERM))
    spawner.say(Stop(1, signal.SIGKILL))
    spawner.start(2, "true")
    assert spawner.hear() == Exited(2, 0, 0)
    for process in [root, *root.children(recursive=True)]:
        process.kill()
    assert spawner.hear() == Exited(1, 0, signal.SIGKILL)


def _roots(name: str) -> list[psutil.Process]:
    """Find the shells of root that bear a name in their script."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if line[:2] == ["sh", "-c"] and name in line[2] and process.uids().real == 0:
                found.append(process)
        except psutil.Error:
            continue
    return found
