"""All that is known of one metric of one instance. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from corex_node.statistics.sample import ID, Op, Sample, Tags
from corex_node.statistics.windows import Window, Windows

PERIODS = (300, 3600)
"""Lengths of windows in seconds, shortest first."""

OnClosed = Callable[["Series", int, Window], object]
"""Called with a series, the length of the window in seconds, and a window that is closed."""


class Series:
    """Samples of one key, instance and set of tags.

    Of a counter (`D`) each sample gives the difference per second to the one before. There is none
    for the first sample, for one that is less than the last (the counter began anew), for one that
    is older than the last (the clock was set back), and for one at the very same time, which the
    next sample makes up for.

    Attributes:
        name: in answers.
        op: how its samples are aggregated.
        key: of the metric.
        instance_id: empty for none.
        tags: without `id`.
        last_value: of the last sample.
        last_time: of the last sample, in seconds since the epoch.
    """

    __slots__ = (
        "_base",
        "_base_time",
        "_windows",
        "instance_id",
        "key",
        "last_time",
        "last_value",
        "name",
        "op",
        "tags",
    )

    def __init__(self, name: str, sample: Sample) -> None:
        """Begin a series of samples such as this; it is not taken yet."""
        self.name = name
        self.op = sample.op
        self.key = sample.key
        self.instance_id = sample.instance_id
        self.tags: Tags = sample.tags
        self.last_value = 0.0
        self.last_time = 0.0
        self._windows = tuple(Windows(period) for period in PERIODS)
        self._base: float | None = None  # of the next difference
        self._base_time = 0.0

    @property
    def identity(self) -> tuple[str, str, Tags]:
        """What tells it from all others."""
        return self.key, self.instance_id, self.tags

    def add(self, value: float, now: float, on_closed: OnClosed) -> None:
        """Take the value of a sample.

        Args:
            value: finite.
            now: seconds since the epoch.
            on_closed: hears of windows that it closes.
        """
        self.last_value = value
        self.last_time = now
        if self.op is Op.DIFFERENCE:
            rate = self._difference(value, now)
            if rate is None:
                return
            value = rate
        for windows in self._windows:
            closed = windows.add(value, now)
            if closed is not None:
                on_closed(self, windows.period, closed)

    def _difference(self, value: float, now: float) -> float | None:
        base, passed = self._base, now - self._base_time
        if base is not None and passed == 0 and value >= base:
            return None
        self._base, self._base_time = value, now
        if base is None or passed <= 0 or value < base:
            return None
        return (value - base) / passed

    def advance(self, now: float, on_closed: OnClosed) -> None:
        """Close the windows whose time is over."""
        for windows in self._windows:
            closed = windows.advance(now)
            if closed is not None:
                on_closed(self, windows.period, closed)

    def close(self, on_closed: OnClosed) -> None:
        """Close all windows: nothing more comes."""
        for windows in self._windows:
            closed = windows.close()
            if closed is not None:
                on_closed(self, windows.period, closed)

    def silent(self, now: float) -> float:
        """Seconds since the last sample; how far off it is, if the clock was set back since."""
        return abs(now - self.last_time)

    def all_tags(self) -> dict[str, str]:
        """Its tags with `id`, in order of their names."""
        tags = dict(self.tags)
        if self.instance_id:
            tags[ID] = self.instance_id
        return dict(sorted(tags.items()))

    def answer(self, now: float) -> dict[str, Any]:
        """Its figures, as answers have them. To be called after `advance`."""
        return {
            "op": str(self.op),
            "last_value": self.last_value,
            "last_time": int(self.last_time),
            "tags": [{"key": key, "value": value} for key, value in self.all_tags().items()],
            "current": {
                str(windows.period): windows.current(now).answer() for windows in self._windows
            },
            "history": {
                str(windows.period): [window.answer() for window in windows.history()]
                for windows in self._windows
            },
        }
