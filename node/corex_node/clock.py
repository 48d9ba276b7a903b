"""The server's time, as far as it is known: all nodes and clients go by one clock."""

from __future__ import annotations

import time


class ServerClock:
    """This machine's clock, set right by what the server said last."""

    def __init__(self) -> None:
        """Go by this machine's clock until the server is heard."""
        self._ahead_ms = 0

    def heard(self, server_ms: int) -> None:
        """Take note of the server's time, in milliseconds since the epoch."""
        self._ahead_ms = server_ms - time.time_ns() // 1_000_000

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000 + self._ahead_ms
