"""The memory as /proc/meminfo tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from corex_node.machine.memory import read_memory
from tests.helpers.tree import plant

MEMINFO = """\
MemTotal:       16000000 kB
MemFree:         4000000 kB
MemAvailable:    9000000 kB
Buffers:          500000 kB
Cached:          5000000 kB
SwapCached:           12 kB
Active:          3000000 kB
Inactive:        2000000 kB
Active(anon):    1111111 kB
SwapTotal:       2000000 kB
Dirty:               340 kB
Writeback:             4 kB
AnonPages:       1000000 kB
Shmem:            100000 kB
Slab:             700000 kB
SReclaimable:     500000 kB
PageTables:        30000 kB
WritebackTmp:          8 kB
HugePages_Total:       0
"""
KEYS = {
    *("total", "available", "used", "usedPercent", "free", "active", "inactive", "wired"),
    *("buffers", "cached", "writeback", "dirty", "writebacktmp", "shared", "slab", "pagetables"),
    "swapcached",
}


def test_all_sizes_are_bytes(tmp_path: Path) -> None:
    memory = read_memory(plant(tmp_path, {"proc/meminfo": MEMINFO}))
    assert memory.pop("usedPercent") == pytest.approx(37.5)
    assert {name: size / 1024 for name, size in memory.items()} == {
        "total": 16000000,
        "available": 9000000,
        "used": 6000000,
        "free": 4000000,
        "active": 3000000,
        "inactive": 2000000,
        "wired": 0,
        "buffers": 500000,
        "cached": 5500000,
        "writeback": 4,
        "dirty": 340,
        "writebacktmp": 8,
        "shared": 100000,
        "slab": 700000,
        "pagetables": 30000,
        "swapcached": 12,
    }


def test_a_kernel_that_does_not_tell_what_is_available(tmp_path: Path) -> None:
    lines = MEMINFO.replace("MemAvailable:", "Other:")
    memory = read_memory(plant(tmp_path, {"proc/meminfo": lines}))
    assert memory["available"] == 10000000 * 1024


def test_parts_larger_than_the_whole_use_nothing(tmp_path: Path) -> None:
    lines = MEMINFO.replace("MemTotal:       16000000", "MemTotal:        1000000")
    memory = read_memory(plant(tmp_path, {"proc/meminfo": lines}))
    assert (memory["used"], memory["usedPercent"]) == (0, 0.0)


def test_no_file_is_zeros(tmp_path: Path) -> None:
    memory = read_memory(tmp_path)
    assert set(memory) == KEYS
    assert set(memory.values()) == {0}
