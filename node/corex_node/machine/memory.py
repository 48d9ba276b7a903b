"""The memory, see proc_meminfo(5)."""

from __future__ import annotations

from pathlib import Path

from corex_node.machine.files import ROOT, number_in, read_text

_KIB = 1024
_NAMES = {
    "active": "Active",
    "inactive": "Inactive",
    "buffers": "Buffers",
    "writeback": "Writeback",
    "dirty": "Dirty",
    "writebacktmp": "WritebackTmp",
    "shared": "Shmem",
    "slab": "Slab",
    "pagetables": "PageTables",
    "swapcached": "SwapCached",
}


def read_memory(root: Path = ROOT) -> dict[str, int | float]:
    """Describe the memory in bytes, in the shape of gopsutil.

    `cached` has in it what of the kernel's own can be reclaimed; `used` is what is neither free nor
    buffers nor cached; `wired` is another system's and 0.
    """
    sizes = _sizes(read_text(root / "proc/meminfo"))
    total, free, buffers = (sizes.get(name, 0) for name in ("MemTotal", "MemFree", "Buffers"))
    cached = sizes.get("Cached", 0) + sizes.get("SReclaimable", 0)
    # Of a container that shows its own share, the parts may be more than the whole.
    used = max(total - free - buffers - cached, 0)
    return {
        "total": total,
        "available": sizes.get("MemAvailable", min(free + buffers + cached, total)),
        "used": used,
        "usedPercent": used / total * 100 if total else 0.0,
        "free": free,
        "wired": 0,
        "cached": cached,
        **{name: sizes.get(source, 0) for name, source in _NAMES.items()},
    }


def _sizes(text: str) -> dict[str, int]:
    sizes = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        sizes[name] = number_in(value) * _KIB
    return sizes
