"""All series of a node, bounded in number. Pure: the time is an argument, in epoch seconds.

An answer names a series `key`, or `key/instance`. Where two differ only in other tags, the one that
was there first bears that name, and the name of the other goes on with `|` and its tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corex_node.statistics.sample import Sample, SampleError, Tags
from corex_node.statistics.series import PERIODS, OnClosed, Series
from corex_node.statistics.windows import HISTORY

MOST_SERIES = 10_000
IDLE = float(PERIODS[-1] * (1 + HISTORY))
"""Seconds without a sample after which a series is forgotten."""
_GIVES_WAY = float(PERIODS[0])
"""Seconds without a sample after which a series may be forgotten in favour of another."""
_LOOK_AGAIN = 10.0
"""Seconds between two searches for series that may be forgotten, while all places are taken."""


class Aggregator:
    """Series by key, instance and tags."""

    def __init__(self, on_closed: OnClosed, most: int = MOST_SERIES) -> None:
        """Begin without a series.

        Args:
            on_closed: called with every window that is closed.
            most: series at once.
        """
        self._on_closed = on_closed
        self._most = most
        self._series: dict[tuple[str, str, Tags], Series] = {}
        self._names: dict[str, Series] = {}
        self._looked: float | None = None

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._series)

    def feed(self, sample: Sample, now: float) -> None:
        """Take a sample.

        Raises:
            SampleError: another one of its series had another op, or there are too many series.
        """
        series = self._series.get((sample.key, sample.instance_id, sample.tags))
        if series is None:
            series = self._begin(sample, now)
        elif series.op is not sample.op:
            raise SampleError(f"op: {series.op} before")
        series.add(sample.value, now, self._on_closed)

    def series(self, key: str | None = None, tags: Mapping[str, str] | None = None) -> list[Series]:
        """List series.

        Args:
            key: of the metric, None for all.
            tags: all of which a series must have, `id` among them.
        """
        found = [item for item in self._series.values() if key is None or item.key == key]
        if not tags:
            return found
        wanted = tags.items()
        return [item for item in found if wanted <= item.all_tags().items()]

    def query(
        self, key: str | None, tags: Mapping[str, str] | None, now: float
    ) -> dict[str, dict[str, Any]]:
        """Tell the figures of series by their names; arguments as those of `series`."""
        return {item.name: self.answer(item, now) for item in self.series(key, tags)}

    def answer(self, series: Series, now: float) -> dict[str, Any]:
        """Tell the figures of a series."""
        series.advance(now, self._on_closed)
        return series.answer(now)

    def advance(self, series: Series, now: float) -> None:
        """Close those windows of a series whose time is over; forget it if it is idle."""
        series.advance(now, self._on_closed)
        if series.silent(now) > IDLE:
            self._forget(series)

    def _begin(self, sample: Sample, now: float) -> Series:
        if len(self._series) >= self._most and not self._make_room(now):
            raise SampleError(f"series: there are {self._most} already")
        name = f"{sample.key}/{sample.instance_id}" if sample.instance_id else sample.key
        if name in self._names:
            name += "|" + ",".join(f"{tag}={value}" for tag, value in sample.tags)
        series = Series(name, sample)
        self._names[name] = self._series[series.identity] = series
        return series

    def _make_room(self, now: float) -> bool:
        """Forget a tenth of all series, of those that have been silent longest."""
        if self._looked is not None and abs(now - self._looked) < _LOOK_AGAIN:
            return False
        self._looked = now
        silent = [item for item in self._series.values() if item.silent(now) > _GIVES_WAY]
        silent.sort(key=lambda item: item.silent(now), reverse=True)
        for series in silent[: max(self._most // 10, 1)]:
            self._forget(series)
        return bool(silent)

    def _forget(self, series: Series) -> None:
        if self._series.pop(series.identity, None) is not None:
            del self._names[series.name]
            series.close(self._on_closed)
