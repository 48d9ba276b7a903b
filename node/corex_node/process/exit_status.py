"""How a process ended, as a value."""

from __future__ import annotations

import os

from msgspec import Struct


class ExitStatus(Struct, frozen=True):
    """Exit code, or the signal that ended it; one of them is 0."""

    code: int
    signal: int


def exit_status(pidfd: int) -> ExitStatus | None:
    """Read how a child ended; it stays a zombie, and so keeps its number.

    Returns:
        The status, or None while the child runs.
    """
    status = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if status is None:
        return None
    if status.si_code == os.CLD_EXITED:
        return ExitStatus(status.si_status, 0)
    return ExitStatus(0, status.si_status)


def reap(pidfd: int) -> None:
    """End the zombie of a child that has exited.

    Only this child is waited for, so no other child's status can be taken.
    """
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
