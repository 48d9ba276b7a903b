"""Where file systems are mounted, from /proc/self/mountinfo (see proc(5))."""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_MOUNT_POINT = 4  # field of a line


def mounts_within(path: str, table: str = _TABLE) -> list[str]:
    """Find the mount points at a path and below it.

    Args:
        path: without links.
        table: file in the form of /proc/self/mountinfo.

    Raises:
        OSError: the table cannot be read.
    """
    wanted = os.fsencode(path)
    with open(table, "rb") as lines:
        points = [_unescaped(line.split(b" ")[_MOUNT_POINT]) for line in lines]
    below = wanted.rstrip(b"/") + b"/"
    return [os.fsdecode(point) for point in points if point == wanted or point.startswith(below)]


def _unescaped(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field)
