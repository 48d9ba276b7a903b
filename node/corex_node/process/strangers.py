"""Signals to processes that are nobody's children here, by their numbers.

A stranger can end at any moment and its number be given to another. Through a descriptor of the
process what is checked and what is signalled are the same, see pidfd_open(2); that it is still the
one that was meant, nobody can tell who has but its number.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Collection

from corex_shared.errors import BadRequestError, ForbiddenError, NotFoundError

_INIT = 1
_MOST = 2**31 - 1
_IS_NONE = (errno.ESRCH, errno.EINVAL, errno.ENOENT)  # the latter two of a thread


def signal_stranger(pid: int, number: int, ours: Collection[int]) -> None:
    """Send a signal to a process; never blocks.

    This process and those that it cannot do without get none, not even a harmless one: whoever
    wants the agent to end tells whoever started it, so that jobs are drained and results are sent.

    Args:
        pid: of the process.
        number: of the signal.
        ours: process IDs that are refused too.

    Raises:
        BadRequestError: it is 1 or less: everything, a group, or the first of all processes.
        ForbiddenError: it is the agent or a part of it, or the system does not permit it.
        NotFoundError: there is no such process.
    """
    if pid <= _INIT:
        raise BadRequestError(f"pid: {pid}: a number above {_INIT} expected")
    if pid == os.getpid() or pid in ours:
        raise ForbiddenError(f"pid: {pid}: it is the agent or a part of it")
    if pid > _MOST:
        raise NotFoundError(f"pid: {pid}: no such process")
    try:
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
    except PermissionError as error:
        raise ForbiddenError(f"pid: {pid}: {error.strerror}") from error
    except OSError as error:
        if error.errno in _IS_NONE:
            raise NotFoundError(f"pid: {pid}: no such process") from error
        raise
