"""Signals to a process and all of its session's first group.

A program that has become another user cannot be signalled by an agent that is not root: then
nothing is done, and what of it survives is counted.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to a child and everything in its process group.

    The child leads the group and is not reaped while this is called, so that the number cannot
    belong to anyone else.

    Returns:
        Whether there was anything to send it to.
    """
    with suppress(OSError):
        os.killpg(pid, number)
        return True
    return False


def signal_process(pid: int, number: int) -> bool:
    """Send a signal to a child only, which is not reaped while this is called; see above."""
    with suppress(OSError):
        os.kill(pid, number)
        return True
    return False


def kill_group(pid: int) -> None:
    """End a child and everything in its process group for certain."""
    signal_group(pid, signal.SIGKILL)
