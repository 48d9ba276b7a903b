"""Gives the Python process that starts with it on its path a wall clock that a test can set.

Python imports a module of this name at its start. `FAULTS_CLOCK` names a file of eight bytes: the
nanoseconds by which `time.time_ns` and `time.time` of this process are ahead. What does not ask
Python for the time (the kernel, Redis, jobs) has the machine's own; monotonic clocks are as ever,
as they are on a machine whose wall clock is set.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time


def _shift() -> None:
    with open(os.environ["FAULTS_CLOCK"], "rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    real = time.time_ns

    def time_ns() -> int:
        return real() + int(struct.unpack("q", ahead[:8])[0])

    module = vars(sys.modules["time"])
    module["time_ns"] = time_ns
    module["time"] = lambda: time_ns() / 1e9


if "FAULTS_CLOCK" in os.environ:
    _shift()
