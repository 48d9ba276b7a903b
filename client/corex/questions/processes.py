"""All processes of a node's machine: `process.*`."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from corex.ask import Question, read_nothing, reader


class ProcessTimes(Struct, frozen=True):
    """Seconds of processor time, by what they were spent on.

    Of a process most kernels count `user`, `system` and `iowait`; the others are 0.
    """

    user: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    nice: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0
    stolen: float = 0.0
    guestnice: float = 0.0


class ResourceLimit(Struct, frozen=True):
    """One limit of a process; the numbers are those of getrlimit(2), -1 for no limit."""

    resource: int
    soft: int
    hard: int


class ProcessEntry(Struct, frozen=True):
    """One process.

    Attributes:
        pid: its number.
        ppid: its parent's.
        name: what the kernel calls it.
        cmdline: how it was started; in a list of all it may be cut.
        createtime: when, in ms since the epoch.
        cpu: its processor time.
        rss: bytes in memory.
        vms: bytes of address space.
        swap: bytes that are swapped out.
        rlimit: its limits; none when the agent may not know.
        ofd: how many descriptors it has open; 0 when the agent may not know.
    """

    pid: int
    ppid: int
    name: str = ""
    cmdline: str = ""
    createtime: int = 0
    cpu: ProcessTimes = ProcessTimes()
    rss: int = 0
    vms: int = 0
    swap: int = 0
    rlimit: list[ResourceLimit] = field(default_factory=list)
    ofd: int = 0


ProcessEntries: TypeAlias = list[ProcessEntry]

_entries = reader(ProcessEntries)


def list_processes(pid: int | None) -> Question[ProcessEntries]:
    """List all processes, or one of them, or none if it is gone."""
    return Question("process.list", _entries, {"pid": pid}, control=True)


def kill_process(pid: int, signal: int) -> Question[None]:
    """Send a signal to a process."""
    return Question("process.kill", read_nothing, {"pid": pid, "signal": signal}, control=True)
