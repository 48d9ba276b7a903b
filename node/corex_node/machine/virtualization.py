"""Whether the machine is a container, a virtual machine, or runs such ones."""

from __future__ import annotations

import re
from pathlib import Path

from corex_node.machine.files import ROOT, read_text

Virtualization = tuple[str, str]
"""System and role, `guest` or `host`; both empty for a plain machine."""

_PLAIN: Virtualization = ("", "")
_CONTAINERS = {
    "docker": re.compile(r"[:/]docker[-/]").search,
    "podman": re.compile(r"/libpod-").search,
    "lxc": re.compile(r"/lxc(?:\.payload[./]|/)").search,
    "rkt": re.compile(r"machine-rkt").search,
}
"""How the control group of each is called."""
_MARKS = {".dockerenv": "docker", "run/.containerenv": "podman"}
_VENDORS = {
    "qemu": "kvm",
    "kvm": "kvm",
    "amazon ec2": "kvm",
    "google compute engine": "kvm",
    "openstack": "kvm",
    "vmware": "vmware",
    "innotek": "vbox",
    "virtualbox": "vbox",
    "xen": "xen",
    "microsoft corporation virtual machine": "hyperv",
    "parallels": "parallels",
    "bhyve": "bhyve",
}
"""What the firmware says of maker and product → system."""
_KVM_PROCESSORS = ("QEMU Virtual CPU", "Common KVM processor", "Common 32-bit KVM processor")
_HOSTS = {"kvm": "kvm", "vboxdrv": "vbox"}
"""Kernel modules → system that they run."""
_has_hypervisor = re.compile(r"^flags\s*:.*\bhypervisor\b", re.MULTILINE).search


def find_virtualization(root: Path = ROOT) -> Virtualization:
    """Find out by what the kernel and the firmware say: the innermost system, by gopsutil's names.

    The system is empty and the role `guest` when there is a hypervisor that does not tell its name.
    """
    return _container(root) or _machine(root) or _host(root) or _PLAIN


def _container(root: Path) -> Virtualization | None:
    if (root / "proc/vz").exists() or (root / "proc/bc").exists():
        return "openvz", "host" if (root / "proc/bc/0").exists() else "guest"
    groups = read_text(root / "proc/self/cgroup")
    name = next((name for name, is_in in _CONTAINERS.items() if is_in(groups)), "")
    marks = (name for mark, name in _MARKS.items() if (root / mark).exists())
    name = name or next(marks, "") or read_text(root / "run/systemd/container").strip()
    return (name, "guest") if name else None


def _machine(root: Path) -> Virtualization | None:
    xen = root / "proc/xen"
    if xen.exists() or read_text(root / "sys/hypervisor/type").strip() == "xen":
        return "xen", "host" if "control_d" in read_text(xen / "capabilities") else "guest"
    processors = read_text(root / "proc/cpuinfo")
    if any(name in processors for name in _KVM_PROCESSORS):
        return "kvm", "guest"
    firmware = root / "sys/class/dmi/id"
    made = f"{read_text(firmware / 'sys_vendor')} {read_text(firmware / 'product_name')}"
    made = " ".join(made.lower().split())
    for vendor, system in _VENDORS.items():
        if vendor in made and not made.endswith(".metal"):
            return system, "guest"
    return ("", "guest") if _has_hypervisor(processors) else None


def _host(root: Path) -> Virtualization | None:
    modules = {line.partition(" ")[0] for line in read_text(root / "proc/modules").split("\n")}
    return next(((system, "host") for name, system in _HOSTS.items() if name in modules), None)
