"""All processes, see proc_pid(5): one pass, each file of a process read once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from corex_node.machine.files import ROOT, number_in
from corex_node.machine.system import boot_time

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_FIELDS = 40
"""Of /proc/PID/stat after the name, as many as are read."""
_NO_LIMIT = -1
_COMMAND_AT_MOST, _COMMANDS_AT_MOST = 1024 * 1024, 4096
"""Bytes of a command line, of one that is asked for and of each of all."""


class _Times(NamedTuple):
    """What processes are measured by: seconds since the epoch to the boot; whether swap is used."""

    boot: int
    swapping: bool


def list_processes(pid: int | None = None, root: Path = ROOT) -> list[dict[str, Any]]:
    """Describe all processes, in the shape of 0-core, or one; those that are gone are left out.

    Sizes are bytes, `createtime` is ms since the epoch, `cpu` is in seconds; what a process has no
    figure of is 0 in it. `rlimit` has the numbers of getrlimit(2), -1 for no limit. `ofd` and
    `rlimit` are 0 and empty when they are not for us. In the list of all, the command line is cut
    after 4 KiB.
    """
    proc = root / "proc"
    # A thread can be read too, but is not listed: it is no process.
    pids = (number for number in _pids(proc) if pid is None or number == pid)
    times = _Times(boot_time(root), _swap_is_used(proc))
    at_most = _COMMANDS_AT_MOST if pid is None else _COMMAND_AT_MOST
    found = (_describe(f"{proc}/{number}", number, times, at_most) for number in pids)
    return [process for process in found if process is not None]


def _pids(proc: Path) -> Iterable[int]:
    with suppress(OSError):
        return sorted(int(name) for name in os.listdir(proc) if name.isdecimal())
    return ()


def _swap_is_used(proc: Path) -> bool:
    return _read(f"{proc}/swaps").count(b"\n") > 1


def _describe(folder: str, pid: int, times: _Times, at_most: int) -> dict[str, Any] | None:
    """Describe a process; None when it is gone."""
    _, opened, rest = _read(f"{folder}/stat").partition(b"(")
    name, _, rest = rest.rpartition(b")")  # the name may hold anything
    fields = rest.split(None, _FIELDS)
    if not opened or len(fields) < _FIELDS:
        return None
    return {
        "pid": pid,
        "ppid": int(fields[1]),
        "cmdline": _command_line(folder, at_most),
        "name": _text(name),
        "createtime": round((times.boot + int(fields[19]) / _TICKS) * 1000),
        "cpu": _cpu(int(fields[11]), int(fields[12]), int(fields[39])),
        "rss": int(fields[21]) * _PAGE,
        "vms": int(fields[20]),
        "swap": _swapped(folder) if times.swapping else 0,
        "rlimit": _limits(_read(f"{folder}/limits")),
        "ofd": _descriptors(folder),
    }


def _cpu(user: int, system: int, waited: int) -> dict[str, float]:
    """What 0-core says of a whole processor, too; of a process the kernel counts three."""
    return {
        "guestnice": 0.0,
        "idle": 0.0,
        "iowait": waited / _TICKS,
        "irq": 0.0,
        "nice": 0.0,
        "softirq": 0.0,
        "steal": 0.0,
        "stolen": 0.0,
        "system": system / _TICKS,
        "user": user / _TICKS,
    }


def _command_line(folder: str, at_most: int) -> str:
    return _text(_read(f"{folder}/cmdline", at_most).rstrip(b"\0").replace(b"\0", b" "))


def _swapped(folder: str) -> int:
    _, found, rest = _read(f"{folder}/status").partition(b"\nVmSwap:")
    return number_in(rest[:40].decode("ascii", "replace")) * _KIB if found else 0


def _limits(data: bytes) -> list[dict[str, int]]:
    """Read the limits: a line for each, in the order of their numbers, in columns."""
    return [
        {"resource": number, "soft": _limit(line[26:47]), "hard": _limit(line[47:68])}
        for number, line in enumerate(data.split(b"\n")[1:])
        if line
    ]


def _limit(column: bytes) -> int:
    return int(column) if column.strip().isdigit() else _NO_LIMIT


def _descriptors(folder: str) -> int:
    with suppress(OSError):
        return len(os.listdir(f"{folder}/fd"))
    return 0


def _read(path: str, at_most: int = 65536) -> bytes:
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        return file.read(at_most) or b""
    return b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
