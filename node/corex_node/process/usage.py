"""What processes use, as values; measured by `usage_meter`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """CPU in percent of one core; sizes in bytes."""

    cpu: float = 0.0
    rss: int = 0
    vms: int = 0
    swap: int = 0
