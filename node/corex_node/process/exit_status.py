"""How a process ended, as a value."""

from __future__ import annotations

import os

from msgspec import Struct


class ExitStatus(Struct, frozen=True):
    """Exit code, or the signal that ended it; one of them is 0."""

    code: int
    signal: int

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return not self.code and not self.signal


def reap(pidfd: int) -> ExitStatus | None:
    """Take the exit status of a child and so end its zombie.

    Only this child is waited for, so no other child's status can be taken.

    Returns:
        The status, or None while the child runs.
    """
    status = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if status is None:
        return None
    if status.si_code == os.CLD_EXITED:
        return ExitStatus(status.si_status, 0)
    return ExitStatus(0, status.si_status)
