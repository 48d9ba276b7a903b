"""What a node's machine is: `info.*`."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from corex.ask import Question, reader


class CpuInfo(Struct, frozen=True, rename="camel"):
    """One processor, as /proc/cpuinfo has it.

    Attributes:
        cpu: its number.
        cores: how many this entry describes: 1.
        mhz: how fast it can be, or is now where that is not known.
        cache_size: KiB.
    """

    cpu: int
    vendor_id: str = ""
    family: str = ""
    model: str = ""
    model_name: str = ""
    stepping: int = 0
    physical_id: str = ""
    core_id: str = ""
    cores: int = 1
    mhz: float = 0.0
    cache_size: int = 0
    flags: list[str] = field(default_factory=list)
    microcode: str = ""


class MemoryInfo(Struct, frozen=True, rename="camel"):
    """The memory, in bytes, as /proc/meminfo has it."""

    total: int
    available: int
    used: int
    free: int
    used_percent: float = 0.0
    active: int = 0
    inactive: int = 0
    wired: int = 0
    buffers: int = 0
    cached: int = 0
    writeback: int = 0
    dirty: int = 0
    writebacktmp: int = 0
    shared: int = 0
    slab: int = 0
    pagetables: int = 0
    swapcached: int = 0


class DiskInfo(Struct, frozen=True):
    """One file system on a disk, and where it is mounted."""

    device: str
    mountpoint: str
    fstype: str = ""
    opts: str = ""


class NicAddress(Struct, frozen=True):
    """An address of a network interface, with the length of its prefix."""

    addr: str


class NicInfo(Struct, frozen=True):
    """One network interface.

    Attributes:
        hardwareaddr: of the hardware, empty where there is none.
        flags: such as `up` and `loopback`.
        speed: Mbit/s; None when that is not known, as of one that is down.
        carrier: whether there is a link; None when that is not known.
        operstate: such as `up` and `down`; None when that is not known.
    """

    name: str
    mtu: int = 0
    hardwareaddr: str = ""
    flags: list[str] = field(default_factory=list)
    addrs: list[NicAddress] = field(default_factory=list)
    speed: int | None = None
    carrier: bool | None = None
    operstate: str | None = None


class OsInfo(Struct, frozen=True, rename="camel"):
    """The operating system.

    Attributes:
        uptime: seconds since it was started.
        boot_time: when it was, in seconds since the epoch.
        procs: how many processes there are.
    """

    hostname: str
    os: str
    platform: str = ""
    platform_family: str = ""
    platform_version: str = ""
    kernel_version: str = ""
    uptime: int = 0
    boot_time: int = 0
    procs: int = 0
    virtualization_system: str = ""
    virtualization_role: str = ""
    hostid: str = ""


class PortInfo(Struct, frozen=True):
    """Something that listens.

    Attributes:
        network: `tcp`, `tcp6`, `udp`, `udp6` or `unix`.
        port: of the first four.
        ip: of the first four.
        unix: path of the last; the name of an abstract one begins with `@`.
        pid: who listens; None when the agent may not know.
    """

    network: str
    port: int = 0
    ip: str = ""
    unix: str = ""
    pid: int | None = None


class VersionInfo(Struct, frozen=True):
    """What runs on the node.

    Attributes:
        version: of corex.
        revision: it was built from, empty when that is not known.
        branch: of the revision.
        dirty: whether something was changed since the revision.
    """

    version: str
    branch: str = ""
    revision: str = ""
    dirty: bool = False


Cpus: TypeAlias = list[CpuInfo]
Disks: TypeAlias = list[DiskInfo]
Nics: TypeAlias = list[NicInfo]
Ports: TypeAlias = list[PortInfo]

_cpus = reader(Cpus)
_memory = reader(MemoryInfo)
_disks = reader(Disks)
_nics = reader(Nics)
_os = reader(OsInfo)
_ports = reader(Ports)
_version = reader(VersionInfo)


def cpu_info() -> Question[Cpus]:
    """Ask for the processors."""
    return Question("info.cpu", _cpus, control=True)


def memory_info() -> Question[MemoryInfo]:
    """Ask for the memory."""
    return Question("info.mem", _memory, control=True)


def disk_info() -> Question[Disks]:
    """Ask for the file systems on disks."""
    return Question("info.disk", _disks, control=True)


def nic_info() -> Question[Nics]:
    """Ask for the network interfaces."""
    return Question("info.nic", _nics, control=True)


def os_info() -> Question[OsInfo]:
    """Ask for the operating system."""
    return Question("info.os", _os, control=True)


def port_info() -> Question[Ports]:
    """Ask who listens."""
    return Question("info.port", _ports, control=True)


def version_info() -> Question[VersionInfo]:
    """Ask for the version of the agent."""
    return Question("info.version", _version, control=True)
