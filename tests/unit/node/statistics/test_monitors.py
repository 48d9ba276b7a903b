"""What the machine is at."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import psutil
import pytest

from corex_node.statistics.monitors import Monitors
from corex_node.statistics.sample import Op, Sample, format_sample, parse_sample
from tests.helpers.eventually import eventually

MIB = 1024 * 1024


class Mount(NamedTuple):
    """A place where a device is mounted, as psutil has it."""

    device: str
    mountpoint: str
    fstype: str


Measure = Callable[[str], list[Sample]]


@pytest.fixture
def measure() -> Measure:
    """Measures a domain; each sample has a text that gives it back, and the machine's tag."""
    monitors = Monitors()

    def measured(domain: str) -> list[Sample]:
        samples = monitors.measure(domain)
        assert [parse_sample(format_sample(sample)) for sample in samples] == samples
        assert all(("type", "phys") in sample.tags for sample in samples)
        return samples

    return measured


def _keys(samples: list[Sample]) -> set[tuple[str, str]]:
    return {(str(sample.op), sample.key) for sample in samples}


def _value(samples: list[Sample], key: str, instance_id: str = "") -> float:
    [found] = [s.value for s in samples if (s.key, s.instance_id) == (key, instance_id)]
    return found


def test_domains() -> None:
    """Four, and no other."""
    monitors = Monitors()
    assert monitors.domains == ("cpu", "disk", "memory", "network")
    with pytest.raises(KeyError):
        monitors.measure("nothing")


def test_memory_is_in_mebibytes(measure: Measure) -> None:
    """As psutil has it."""
    samples = measure("memory")
    assert _keys(samples) == {
        ("A", "machine.memory.ram.total"),
        ("A", "machine.memory.ram.used"),
        ("A", "machine.memory.ram.available"),
        ("A", "machine.memory.swap.used"),
        ("A", "machine.memory.swap.left"),
    }
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    assert _value(samples, "machine.memory.ram.total") == pytest.approx(memory.total / MIB)
    available = _value(samples, "machine.memory.ram.available")
    assert available == pytest.approx(memory.available / MIB, rel=0.2)
    assert _value(samples, "machine.memory.swap.left") == pytest.approx(swap.free / MIB, rel=0.2)


def test_processors_count_their_busy_seconds(measure: Measure) -> None:
    """Each by its number, and all together without one."""
    samples = measure("cpu")
    assert _keys(samples) >= {
        ("D", "machine.CPU.utilisation"),
        ("D", "machine.CPU.contextswitch"),
        ("D", "machine.CPU.interrupts"),
        ("A", "machine.process.threads"),
    }
    each = {s.instance_id for s in samples if s.key == "machine.CPU.utilisation"}
    assert each == {"", *map(str, range(len(psutil.cpu_times(percpu=True))))}
    times = psutil.cpu_times()
    total = _value(samples, "machine.CPU.utilisation")
    assert total == pytest.approx(times.user + times.system, abs=10)
    switches = _value(samples, "machine.CPU.contextswitch")
    assert 0 < switches <= psutil.cpu_stats().ctx_switches
    assert _value(samples, "machine.process.threads") > 0


def test_the_share_of_a_processor_is_of_the_time_between_two_questions(measure: Measure) -> None:
    """A share of a moment means nothing and is left out; no share is beyond its bounds."""

    def shares() -> list[Sample]:
        return [s for s in measure("cpu") if s.key == "machine.CPU.percent"]

    found = eventually(shares)
    assert shares() == []
    assert {s.instance_id for s in found} == {
        "",
        *map(str, range(len(psutil.cpu_times(percpu=True)))),
    }
    assert all(0 <= s.value <= 100 and s.op is Op.AVERAGE for s in found)


def test_networks_count_bytes_and_packets(measure: Measure) -> None:
    """Of each interface, by its name; bytes in mebibytes."""
    samples = measure("network")
    assert _keys(samples) == {
        ("D", "network.throughput.incoming"),
        ("D", "network.throughput.outgoing"),
        ("D", "network.packets.rx"),
        ("D", "network.packets.tx"),
    }
    counters = psutil.net_io_counters(pernic=True)
    assert {sample.instance_id for sample in samples} == set(counters)
    name, counter = next(iter(counters.items()))
    assert _value(samples, "network.packets.rx", name) <= counter.packets_recv
    incoming = _value(samples, "network.throughput.incoming", name)
    assert incoming == pytest.approx(counter.bytes_recv / MIB, rel=0.1, abs=1)


def test_disks_count_what_they_read_and_write(measure: Measure) -> None:
    """Of each that was ever used, by its name; bytes in kibibytes."""
    samples = measure("disk")
    counters = psutil.disk_io_counters(perdisk=True)
    used = {name for name, disk in counters.items() if disk.read_count or disk.write_count}
    for key in ("disk.iops.read", "disk.iops.write", "disk.throughput.read"):
        assert {s.instance_id for s in samples if s.key == key and s.op is Op.DIFFERENCE} == used
    for name in used:
        read = _value(samples, "disk.throughput.read", name)
        assert read == pytest.approx(counters[name].read_bytes / 1024, rel=0.1)


def test_space_is_told_once_for_each_device(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is called and wherever it is mounted; one that cannot be asked is left out."""
    mounts = [
        Mount("/dev/vg/a,b|c", "/", "ext4"),
        Mount("/dev/vg/a,b|c", "/proc", "ext4"),
        Mount("/dev/gone", "/no/such/folder", "xfs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    samples = [s for s in measure("disk") if s.op is Op.AVERAGE]
    usage = psutil.disk_usage("/")
    assert [(s.key, s.instance_id) for s in samples] == [
        ("disk.size.total", "a_b_c"),
        ("disk.size.used", "a_b_c"),
        ("disk.size.free", "a_b_c"),
    ]
    assert samples[0].value == usage.total
    assert samples[2].value == pytest.approx(usage.free, rel=0.1)
    assert samples[0].tags == (("fs", "ext4"), ("mount", "/"), ("type", "phys"))
