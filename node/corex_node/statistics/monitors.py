"""What the machine is at: samples of its processors, memory, disks and networks.

Keys and units are those of 0-core where it has them; every sample has the tag `type=phys`. All
functions block on /proc and on file systems.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

from corex_node.statistics.sample import Op, Sample, make_sample, tag_text

_KIB = 1024
_MIB = 1024 * 1024
_SHORTEST = 0.1
"""Seconds over which a share of processor time means anything: the kernel counts hundredths."""

_Times = dict[str, tuple[float, float]]  # processor → seconds busy, seconds in all


class Monitors:
    """Measures by domain. The processors' shares are of the time since they were asked for last."""

    def __init__(self) -> None:
        """Begin to count the processors' time."""
        self._lock = threading.Lock()
        self._times = _processor_times()
        self._domains: dict[str, Callable[[], list[Sample]]] = {
            "cpu": self._cpu,
            "disk": _disk,
            "memory": _memory,
            "network": _network,
        }

    @property
    def domains(self) -> tuple[str, ...]:
        """What can be measured."""
        return tuple(self._domains)

    def measure(self, domain: str) -> list[Sample]:
        """Measure a domain; blocks.

        Raises:
            KeyError: there is no such domain.
        """
        return self._domains[domain]()

    def _cpu(self) -> list[Sample]:
        samples = [
            _counter("machine.CPU.utilisation", times.user + times.system, str(number))
            for number, times in enumerate(psutil.cpu_times(percpu=True))
        ]
        total = psutil.cpu_times()
        samples.append(_counter("machine.CPU.utilisation", total.user + total.system))
        samples += self._percents()
        stats = psutil.cpu_stats()
        samples.append(_counter("machine.CPU.contextswitch", stats.ctx_switches))
        samples.append(_counter("machine.CPU.interrupts", stats.interrupts))
        samples.append(_value("machine.process.threads", _threads()))
        return samples

    def _percents(self) -> list[Sample]:
        samples: list[Sample] = []
        with self._lock:
            times = _processor_times()
            for name, (busy, whole) in times.items():
                busy_before, whole_before = self._times.get(name, (0.0, 0.0))
                passed = whole - whole_before
                if passed < _SHORTEST:
                    return []
                share = min(max((busy - busy_before) / passed, 0.0), 1.0)
                samples.append(_value("machine.CPU.percent", share * 100, name))
            self._times = times
        return samples


def _processor_times() -> _Times:
    """Seconds that each processor was busy, and all of its seconds; "" is all of them together."""
    found: _Times = {}
    every = [("", psutil.cpu_times())]
    every += [(str(number), times) for number, times in enumerate(psutil.cpu_times(percpu=True))]
    for name, times in every:
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        whole = sum(times) - guests  # guests' time is in the user's already: proc_stat(5)
        found[name] = (whole - times.idle - getattr(times, "iowait", 0.0), whole)
    return found


def _threads() -> int:
    """Threads of the whole system: behind the slash of /proc/loadavg, proc_loadavg(5)."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])


def _memory() -> list[Sample]:
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    return [
        _value("machine.memory.ram.total", ram.total / _MIB),
        _value("machine.memory.ram.used", ram.used / _MIB),
        _value("machine.memory.ram.available", ram.available / _MIB),
        _value("machine.memory.swap.used", swap.used / _MIB),
        _value("machine.memory.swap.left", swap.free / _MIB),
    ]


def _disk() -> list[Sample]:
    samples: list[Sample] = []
    for name, disk in (psutil.disk_io_counters(perdisk=True) or {}).items():
        if not disk.read_count and not disk.write_count:
            continue  # a loop or RAM device that nobody uses
        samples += [
            _counter("disk.iops.read", disk.read_count, name),
            _counter("disk.iops.write", disk.write_count, name),
            _counter("disk.throughput.read", disk.read_bytes / _KIB, name),
            _counter("disk.throughput.write", disk.write_bytes / _KIB, name),
        ]
    return samples + _space()


def _space() -> list[Sample]:
    """Space of each device that is mounted, once, however often it is."""
    mounts: dict[str, tuple[str, str]] = {}
    for part in psutil.disk_partitions(all=False):
        place = (part.mountpoint, part.fstype)
        mounts[part.device] = min(mounts.get(part.device, place), place)
    samples: list[Sample] = []
    for device, (mount, fstype) in sorted(mounts.items()):
        with suppress(OSError):  # unmounted meanwhile, or not for us
            usage = psutil.disk_usage(mount)
            tags = {"fs": tag_text(fstype), "mount": tag_text(mount)}
            name = os.path.basename(device)
            samples += [
                _value("disk.size.total", usage.total, name, tags),
                _value("disk.size.used", usage.used, name, tags),
                _value("disk.size.free", usage.free, name, tags),
            ]
    return samples


def _network() -> list[Sample]:
    samples: list[Sample] = []
    for name, nic in (psutil.net_io_counters(pernic=True) or {}).items():
        samples += [
            _counter("network.throughput.incoming", nic.bytes_recv / _MIB, name),
            _counter("network.throughput.outgoing", nic.bytes_sent / _MIB, name),
            _counter("network.packets.rx", nic.packets_recv, name),
            _counter("network.packets.tx", nic.packets_sent, name),
        ]
    return samples


def _value(
    key: str, value: float, instance: str = "", tags: dict[str, str] | None = None
) -> Sample:
    return _sample(Op.AVERAGE, key, value, instance, tags)


def _counter(key: str, value: float, instance: str = "") -> Sample:
    return _sample(Op.DIFFERENCE, key, value, instance, None)


def _sample(op: Op, key: str, value: float, instance: str, tags: dict[str, str] | None) -> Sample:
    named = {"type": "phys", **(tags or {})}
    return make_sample(op, key, value, tag_text(instance) if instance else "", named)
