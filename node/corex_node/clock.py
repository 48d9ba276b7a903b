"""The server's time, as far as it is known: all nodes and clients go by one clock."""

from __future__ import annotations

import time


class ServerClock:
    """What the server said last, and the time that has passed since.

    That time is counted from the boot, so setting this machine's clock changes nothing.
    """

    def __init__(self) -> None:
        """Go by this machine's clock until the server is heard."""
        self._ahead_ms = time.time_ns() // 1_000_000 - _since_boot_ms()

    def heard(self, server_ms: int) -> None:
        """Take note of the server's time, in milliseconds since the epoch."""
        self._ahead_ms = server_ms - _since_boot_ms()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return _since_boot_ms() + self._ahead_ms


def _since_boot_ms() -> int:
    """Milliseconds since the boot; a suspended machine counts on."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
