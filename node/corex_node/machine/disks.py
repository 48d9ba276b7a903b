"""File systems on disks, see proc_pid_mounts(5) and proc_filesystems(5)."""

from __future__ import annotations

import re
from pathlib import Path

from corex_node.machine.files import ROOT, read_text

_ALSO = {"zfs"}  # on disks, though it has no device of its own
_escape = re.compile(r"\\([0-7]{3})")


def read_disks(root: Path = ROOT) -> list[dict[str, str]]:
    """List the mounts of file systems that need a device, in the order of their mounting.

    Looks at no file system, so none that hangs holds it up.
    """
    physical = _physical(read_text(root / "proc/filesystems"))
    found = []
    for line in read_text(root / "proc/self/mounts").split("\n"):
        fields = [_unescaped(field) for field in line.split(" ")]
        if len(fields) >= 4 and fields[2] in physical and fields[0] not in ("", "none"):
            device, mountpoint, fstype, opts = fields[:4]
            entry = {"device": device, "mountpoint": mountpoint, "fstype": fstype, "opts": opts}
            found.append(entry)
    return found


def _physical(text: str) -> set[str]:
    """Types of file systems that need a device: the line of another begins with `nodev`."""
    lines = (line.split("\t") for line in text.split("\n"))
    return _ALSO | {line[1] for line in lines if len(line) == 2 and not line[0]}


def _unescaped(text: str) -> str:
    """Blanks, line ends and backslashes are written as three octal digits."""
    return _escape.sub(lambda found: chr(int(found[1], 8)), text)
