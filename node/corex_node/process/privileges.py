"""Capabilities that a program of an unprivileged node does not have, see capabilities(7).

They are dropped for good: from the bounding set, so that no program that is started can gain them,
and from the sets that the process has; `no_new_privs` keeps set-user-ID programs from raising it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import prctl

DROPPED = (
    "SETPCAP",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYS_PTRACE",
    "SYS_BOOT",
    "AUDIT_CONTROL",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "NET_ADMIN",
    "NET_BROADCAST",
    "SYSLOG",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
)
"""Without CAP_."""


_NO_CAPABILITIES = frozenset({"CAP_EFFECTIVE", "CAP_INHERITABLE", "CAP_PERMITTED", "CAP_LAST_CAP"})
_NAMES = {
    getattr(prctl, name): name.removeprefix("CAP_")
    for name in dir(prctl)
    if name.startswith("CAP_") and name not in _NO_CAPABILITIES
}
"""Number of a capability → name without CAP_: those that python-prctl knows."""


@cache
def dropped_numbers() -> tuple[int, ...]:
    """Numbers of the dropped capabilities, those that this kernel has."""
    return tuple(number for number, name in _NAMES.items() if name in DROPPED and _is_known(number))


def drop_privileges() -> None:
    """Drop the capabilities from this process and all that it becomes.

    A process that may not change its bounding set (CAP_SETPCAP) keeps that; what it has is dropped
    all the same, and `no_new_privs` keeps the rest from being gained.

    Raises:
        OSError: the kernel refuses.
    """
    numbers = dropped_numbers()
    if prctl.cap_effective.setpcap:
        for number in numbers:
            prctl.capbset_drop(number)
    for capabilities in (prctl.cap_effective, prctl.cap_inheritable, prctl.cap_permitted):
        capabilities.drop(*numbers)
    prctl.set_no_new_privs(1)


def drop_inherited() -> None:
    """Have the program inherit no capability: those of an agent that is not root are its own."""
    # And with them the ambient ones. Those of this kernel, which may be more or fewer than named.
    prctl.cap_inheritable.drop(*range(_last_capability() + 1))


def _last_capability() -> int:
    try:
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        return int(max(_NAMES))


def capability_names(mask: int) -> list[str]:
    """Name the capabilities of a mask as in /proc/PID/status; unknown ones by number."""
    return [_NAMES.get(bit, str(bit)) for bit in range(mask.bit_length()) if mask >> bit & 1]


def _is_known(number: int) -> bool:
    try:
        prctl.capbset_read(number)
    except (OSError, ValueError):
        return False
    return True
