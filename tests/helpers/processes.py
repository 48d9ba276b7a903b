"""Looking at processes from outside."""

from __future__ import annotations

import psutil


def is_gone(process: psutil.Process | int) -> bool:
    """Whether a process has ended. A zombie has, even if its new parent is slow to reap it."""
    try:
        if isinstance(process, int):
            process = psutil.Process(process)
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
