"""`make demo`: what it says is so, and it leaves nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.helpers.eventually import eventually
from tests.helpers.leftovers import Leftovers
from tests.helpers.processes import is_gone

DEMO = Path(__file__).resolve().parents[2] / "ops" / "demo.py"
_LAST_LINE = "207 results: SUCCESS 204, ERROR 1, TIMEOUT 1, KILLED 1"


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", DEMO],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demo_does_what_it_says() -> None:
    begin = time.monotonic()
    with _start() as demo:
        output, _ = demo.communicate()
    assert demo.returncode == 0, output
    assert output.splitlines()[-1] == _LAST_LINE
    assert "line 5 of 5" in output
    assert time.monotonic() - begin < 50  # half a minute, and some on a busy machine


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_demo_leaves_nothing(number: signal.Signals, leftovers: Leftovers) -> None:
    files = leftovers.files()
    with _start() as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "line 2 of 5" in line:  # the script runs
                break
        started = psutil.Process(demo.pid).children(recursive=True)
        assert len(started) >= 3  # watchdog, Redis, node, its job
        demo.send_signal(number)
        demo.stdout.read()
    assert demo.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    for process in started:
        eventually(partial(is_gone, process), f"end of {process}", seconds=20)
    eventually(lambda: leftovers.files() == files, "its files are gone")
