"""The operating system: its names, its age, what it is."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from corex_node.machine.files import ROOT, read_number, read_text
from corex_node.machine.virtualization import find_virtualization

_PLATFORMS = {
    "rhel": "redhat",
    "ol": "oracle",
    "amzn": "amazon",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "sles": "suse",
}
"""IDs of os-release(5) for which gopsutil has another name."""
_FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "redhat": "rhel",
    "rhel": "rhel",
    "centos": "rhel",
    "oracle": "rhel",
    "amazon": "rhel",
    "suse": "suse",
    "opensuse": "suse",
}
_boot = re.compile(r"^btime ([0-9]{1,12})$", re.MULTILINE).search
_assignment = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)
_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_machine_id = re.compile(r"[0-9a-f]{32}").fullmatch


def read_system(root: Path = ROOT) -> dict[str, Any]:
    """Describe the operating system, in the shape of gopsutil.

    `uptime` is seconds, `bootTime` seconds since the epoch, `procs` the number of processes.
    """
    kernel = root / "proc/sys/kernel"
    platform, family, version = _platform(root)
    system, role = find_virtualization(root)
    return {
        "hostname": read_text(kernel / "hostname").strip(),
        "uptime": read_number(root / "proc/uptime") or 0,
        "bootTime": boot_time(root),
        "procs": _count(root),
        "os": "linux",
        "platform": platform,
        "platformFamily": family,
        "platformVersion": version,
        "kernelVersion": read_text(kernel / "osrelease").strip(),
        "virtualizationSystem": system,
        "virtualizationRole": role,
        "hostid": _host_id(root),
    }


def boot_time(root: Path = ROOT) -> int:
    """When the system was started, in seconds since the epoch; 0 when that is not known."""
    found = _boot(read_text(root / "proc/stat"))
    return int(found[1]) if found else 0


def _count(root: Path) -> int:
    with suppress(OSError):
        return sum(name.isdecimal() for name in os.listdir(root / "proc"))
    return 0


def _platform(root: Path) -> tuple[str, str, str]:
    """Name of the distribution, that of its family, its version."""
    text = read_text(root / "etc/os-release") or read_text(root / "usr/lib/os-release")
    fields = {name: value.strip().strip("\"'") for name, value in _assignment.findall(text)}
    name = fields.get("ID", "")
    platform = _PLATFORMS.get(name, name)
    version = fields.get("VERSION_ID", "")
    if platform == "debian":  # the only one that tells the point release elsewhere
        version = read_text(root / "etc/debian_version").strip() or version
    like = [platform, *fields.get("ID_LIKE", "").split()]
    family = next((_FAMILIES[one] for one in like if one in _FAMILIES), platform)
    return platform, family, version


def _host_id(root: Path) -> str:
    """What tells machines apart: of the board, else of the installation, else of this boot."""
    board = read_text(root / "sys/class/dmi/id/product_uuid").strip().lower()
    if _is_uuid(board):
        return board
    machine = read_text(root / "etc/machine-id").strip().lower()
    if _is_machine_id(machine):
        return "-".join((machine[:8], machine[8:12], machine[12:16], machine[16:20], machine[20:]))
    return read_text(root / "proc/sys/kernel/random/boot_id").strip().lower()
