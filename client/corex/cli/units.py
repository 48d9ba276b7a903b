"""Numbers as people read them, in few characters."""

from __future__ import annotations

_SIZES = ("B", "K", "M", "G", "T", "P", "E")
_AGES = (("d", 86400), ("h", 3600), ("m", 60))


def size(count: float) -> str:
    """Write bytes in at most four characters and a letter, by powers of 1024."""
    value = max(0.0, float(count))
    for unit in _SIZES:
        if value < 999.5 or unit == _SIZES[-1]:
            break
        value /= 1024
    if value >= 9.95 or unit == "B":
        return f"{value:.0f}{unit}"
    return f"{value:.1f}{unit}"


def age(seconds: float) -> str:
    """Write a time that has passed, by its largest unit: `59s`, `2m`, `36h`, `5d`."""
    for unit, length in _AGES:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def percent(value: float) -> str:
    """Write a share in percent: one digit after the point below ten."""
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
