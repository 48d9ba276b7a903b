"""Processors of x86 and ARM, as their kernels tell of them."""

from __future__ import annotations

from pathlib import Path

from corex_node.machine.cpu import read_processors
from tests.helpers.tree import plant

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 158
model name\t: Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz: special
stepping\t: 10
microcode\t: 0xf0
cpu MHz\t\t: 800.061
cache size\t: 12288 KB
physical id\t: 0
siblings\t: 2
core id\t\t: 3
cpu cores\t: 1
fpu\t\t: yes
flags\t\t: fpu vme sse2
vmx flags\t: vnmi preemption_timer
bugs\t\t: spectre_v1
bogomips\t: 6399.96
power management:

processor\t: 7
vendor_id\t: GenuineIntel
model\t\t: 158
stepping\t: unknown
cpu MHz\t\t: nonsense
flags\t\t:

"""

ARM64 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd crc32
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

processor\t: 1
BogoMIPS\t: 108.00
Features\t: fp asimd crc32

Hardware\t: BCM2835
Revision\t: c03111
Serial\t\t: 10000000abcdef01
Model\t\t: Raspberry Pi 4 Model B Rev 1.1
"""

ARMV6 = """\
Processor\t: ARMv6-compatible processor rev 7 (v6l)
processor\t: rev 7
processor\t: 0
model name\t: ARMv6-compatible processor rev 7 (v6l)
Features\t: half thumb
"""


def test_x86(tmp_path: Path) -> None:
    first, second = read_processors(plant(tmp_path, {"proc/cpuinfo": X86}))
    assert first == {
        "cpu": 0,
        "vendorId": "GenuineIntel",
        "family": "6",
        "model": "158",
        "stepping": 10,
        "physicalId": "0",
        "coreId": "3",
        "cores": 1,
        "modelName": "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz: special",
        "mhz": 800.061,
        "cacheSize": 12288,
        "flags": ["fpu", "vme", "sse2"],
        "microcode": "0xf0",
    }
    assert (second["cpu"], second["stepping"], second["mhz"], second["flags"]) == (7, 0, 0.0, [])


def test_what_a_processor_can_do_at_most_goes_before_what_it_does_now(tmp_path: Path) -> None:
    most = "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
    root = plant(tmp_path, {"proc/cpuinfo": X86, most: "4600000\n"})
    assert [cpu["mhz"] for cpu in read_processors(root)] == [4600.0, 0.0]


def test_arm_has_empty_values_and_its_cores_from_the_topology(tmp_path: Path) -> None:
    core = "sys/devices/system/cpu/cpu1/topology/core_id"
    first, second = read_processors(plant(tmp_path, {"proc/cpuinfo": ARM64, core: "1\n"}))
    assert first == {
        "cpu": 0,
        "vendorId": "",
        "family": "",
        "model": "",
        "stepping": 0,
        "physicalId": "",
        "coreId": "",
        "cores": 1,
        "modelName": "",
        "mhz": 0.0,
        "cacheSize": 0,
        "flags": ["fp", "asimd", "crc32"],
        "microcode": "",
    }
    assert (second["cpu"], second["coreId"]) == (1, "1")


def test_the_name_of_all_processors_is_no_processor(tmp_path: Path) -> None:
    (only,) = read_processors(plant(tmp_path, {"proc/cpuinfo": ARMV6}))
    assert (only["cpu"], only["modelName"]) == (0, "ARMv6-compatible processor rev 7 (v6l)")


def test_no_file_is_no_processor(tmp_path: Path) -> None:
    assert read_processors(tmp_path) == []
    assert read_processors(plant(tmp_path, {"proc/cpuinfo": b"\xff\xfe: \xff\n"})) == []
