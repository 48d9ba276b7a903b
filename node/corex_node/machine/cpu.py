"""The processors, see proc_cpuinfo(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corex_node.machine.files import ROOT, number_in, read_number, read_text

_FLAGS = ("flags", "Features")  # of x86, of ARM
_decimal = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?").match


def read_processors(root: Path = ROOT) -> list[dict[str, Any]]:
    """Describe each logical processor, in the shape of gopsutil.

    `mhz` is what it can do at most, or does now where that is not known; `cacheSize` is KiB;
    `cores` is 1, as each entry is one. What the architecture does not tell is empty.
    """
    text = read_text(root / "proc/cpuinfo")
    return [_describe(root, fields) for fields in _processors(text)]


def _processors(text: str) -> Iterator[dict[str, str]]:
    """Take the text apart: a processor begins with its number and ends where the next begins."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        name, value = name.strip(), value.strip()
        # Capitalised, it is a model: older ARM says that first, of all processors.
        if name == "processor" and value.isdecimal():
            if fields:
                yield fields
            fields = {name: value}
        elif fields:
            fields.setdefault(name, value)
    if fields:
        yield fields


def _describe(root: Path, fields: dict[str, str]) -> dict[str, Any]:
    number = number_in(fields["processor"])
    folder = root / f"sys/devices/system/cpu/cpu{number}"
    flags = next((fields[name] for name in _FLAGS if name in fields), "")
    return {
        "cpu": number,
        "vendorId": fields.get("vendor_id", ""),
        "family": fields.get("cpu family", ""),
        "model": fields.get("model", ""),
        "stepping": number_in(fields.get("stepping", "")),
        "physicalId": fields.get("physical id", ""),
        "coreId": fields.get("core id") or read_text(folder / "topology/core_id").strip(),
        "cores": 1,
        "modelName": fields.get("model name", ""),
        "mhz": _mhz(folder, fields),
        "cacheSize": number_in(fields.get("cache size", "")),
        "flags": flags.split(),
        "microcode": fields.get("microcode", ""),
    }


def _mhz(folder: Path, fields: dict[str, str]) -> float:
    most = read_number(folder / "cpufreq/cpuinfo_max_freq")  # kHz
    if most:
        return most / 1000
    now = _decimal(fields.get("cpu MHz", ""))
    return float(now[0]) if now else 0.0
