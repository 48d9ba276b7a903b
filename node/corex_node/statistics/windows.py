"""Values gathered over stretches of time that begin at multiples of their length. Pure."""

from __future__ import annotations

HISTORY = 5
"""Closed windows that are kept."""


class Window:
    """Values of one stretch of time.

    Attributes:
        start: seconds since the epoch.
        total: sum of all values.
        max: largest value, 0 when there is none.
        count: of values.
    """

    __slots__ = ("count", "max", "start", "total")

    def __init__(self, start: int) -> None:
        """Begin without a value."""
        self.start = start
        self.total = 0.0
        self.max = 0.0
        self.count = 0

    @property
    def avg(self) -> float:
        """Mean of all values, 0 when there is none."""
        return self.total / self.count if self.count else 0.0

    def answer(self) -> dict[str, float | int]:
        """Its figures, as answers have them."""
        return {
            "avg": self.avg,
            "total": self.total,
            "max": self.max,
            "count": self.count,
            "start": self.start,
        }


class Windows:
    """The windows of one length: one that is open, and the last that were closed.

    A window is opened by its first value and closed when its time is over, so there is none without
    a value. A value that is late by at most a window counts for the one that is open, since those
    before it are closed. One that is late by more shows that the clock was set back: the open
    window is closed, and another begins where the clock is now.

    Attributes:
        period: length of a window in seconds.
    """

    __slots__ = ("_history", "_open", "period")

    def __init__(self, period: int) -> None:
        """Begin without a window."""
        self.period = period
        self._open: Window | None = None
        self._history: tuple[Window, ...] = ()

    def add(self, value: float, now: float) -> Window | None:
        """Take a value.

        Args:
            value: finite.
            now: seconds since the epoch.

        Returns:
            The window that was closed by it, if any.
        """
        window, closed = self._open, None
        if window is None or not -self.period <= now - window.start < self.period:
            closed = self.close()
            window = self._open = Window(self._start(now))
            window.max = value
        elif value > window.max:
            window.max = value
        window.total += value
        window.count += 1
        return closed

    def advance(self, now: float) -> Window | None:
        """Close the open window if its time is over, and return it then."""
        window = self._open
        if window is not None and not -self.period <= now - window.start < self.period:
            return self.close()
        return None

    def close(self) -> Window | None:
        """Close the open window and return it; None when there is none."""
        closed, self._open = self._open, None
        if closed is not None:
            self._history = (*self._history, closed)[-HISTORY:]
        return closed

    def current(self, now: float) -> Window:
        """The open window, or an empty one."""
        return self._open or Window(self._start(now))

    def history(self) -> tuple[Window, ...]:
        """The last closed windows, oldest first."""
        return self._history

    def _start(self, now: float) -> int:
        return int(now // self.period) * self.period
