"""The node's statistics, as the rest of the agent sees them.

* `record` takes what jobs say on level 10, `add` what code measures; both from any thread.
* `query` answers; on the event loop, in slices.
* `run` closes windows when their time is over and hands them on; a component of the agent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import structlog

from corex_node.statistics.aggregator import MOST_SERIES, Aggregator
from corex_node.statistics.sample import (
    Sample,
    SampleError,
    make_sample,
    parse_sample,
)
from corex_node.statistics.series import PERIODS, OnClosed, Series
from corex_node.statistics.windows import Window

_LINES_AT_MOST = 1000
"""Samples of one message that are looked at: a message must not hold the event loop up."""
_SLICE = 200
"""Series dealt with before the event loop has its turn."""
_POLL = 5.0
"""Seconds after which the clock is looked at again: it may have been set."""
_SAY_AGAIN = 60.0
"""Seconds between two log lines about refused samples."""
_SHOWN = 100
"""Characters of a refused sample that are logged."""

_log = structlog.get_logger()


class Clock(Protocol):
    """Tells the time that all nodes go by."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""


class Statistics:
    """Samples of one node.

    Attributes:
        refused: samples that were not taken.
        lost: closed windows that were not handed on, because too many waited.
    """

    def __init__(
        self, clock: Clock, on_closed: OnClosed | None = None, most: int = MOST_SERIES
    ) -> None:
        """Begin without a sample.

        Args:
            clock: tells when samples come, and when windows end.
            on_closed: called by `run` with every closed window.
            most: series at once.
        """
        self._clock = clock
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._aggregator = Aggregator(self._closed, most)
        self._waiting: deque[tuple[Series, int, Window]] = deque()
        self._most_waiting = max(2 * most, 1)
        self._said: float | None = None  # monotonic
        self._unsaid = 0
        self.refused = 0
        self.lost = 0

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._aggregator)

    # -- samples ------------------------------------------------------------------------------

    def record(self, text: str) -> int:
        """Take samples, a line each; never raises.

        Returns:
            How many were taken. Others, and those beyond the first thousand, are refused, counted,
            and logged now and then.
        """
        now = self._now()
        taken = 0
        lines = text.split("\n", _LINES_AT_MOST)
        with self._lock:
            for line in islice(lines, _LINES_AT_MOST):
                if not line or line.isspace():
                    continue
                try:
                    self._aggregator.feed(parse_sample(line.rstrip("\r")), now)
                    taken += 1
                except SampleError as error:
                    self._refuse(1, line, error)
            if len(lines) > _LINES_AT_MOST and lines[-1]:
                beyond = lines[-1].rstrip("\n").count("\n") + 1
                self._refuse(beyond, "", f"message: at most {_LINES_AT_MOST} samples")
        return taken

    def add(
        self,
        op: str,
        key: str,
        value: float,
        instance_id: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> bool:
        """Take one sample from code.

        Args:
            op: `A` for values that are averaged, `D` for a counter's, of which the difference per
                second counts.
            key: of the metric.
            value: measured now.
            instance_id: of what was measured, empty for none.
            tags: more that tells it from others.

        Returns:
            Whether it was taken: not when there are too many series already.

        Raises:
            SampleError: an argument cannot be used; see `sample`.
        """
        return self.add_all([make_sample(op, key, value, instance_id, tags)]) == 1

    def add_all(self, samples: Iterable[Sample]) -> int:
        """Take samples, all as of now; returns how many were taken."""
        now = self._now()
        taken = 0
        with self._lock:
            for sample in samples:
                try:
                    self._aggregator.feed(sample, now)
                    taken += 1
                except SampleError as error:
                    self._refuse(1, sample.key, error)
        return taken

    def _now(self) -> float:
        return self._clock.now_ms() / 1000

    def _refuse(self, count: int, line: str, reason: object) -> None:
        self.refused += count
        self._unsaid += count
        now = time.monotonic()
        if self._said is None or now - self._said >= _SAY_AGAIN:
            self._said = now
            _log.warning(
                "statistics.refused",
                count=self._unsaid,
                reason=str(reason),
                sample=ascii(line[:_SHOWN]),  # a terminal may show it
            )
            self._unsaid = 0

    # -- answers ------------------------------------------------------------------------------

    async def query(
        self, key: str | None = None, tags: Mapping[str, str] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Tell the figures of series by their names.

        Args:
            key: of the metric, None for all.
            tags: all of which a series must have, `id` among them.

        Returns:
            `key` or `key/instance` → op, last_value, last_time, tags, current and history windows.
        """
        with self._lock:
            found = self._aggregator.series(key, tags)
        answers: dict[str, dict[str, Any]] = {}
        for part in _slices(found):
            now = self._now()
            with self._lock:
                for series in part:
                    answers[series.name] = self._aggregator.answer(series, now)
            await asyncio.sleep(0)
        return answers

    # -- windows ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Close windows as their time ends, forget idle series; to be cancelled."""
        shortest = PERIODS[0]
        seen = self._now() // shortest
        while True:
            now = self._now()
            if now // shortest != seen:
                seen = now // shortest
                await self._advance_all()
            self._hand_on()
            left = (seen + 1) * shortest - self._now()
            await asyncio.sleep(min(max(left, 0.01), _POLL))

    async def _advance_all(self) -> None:
        with self._lock:
            found = self._aggregator.series()
        for part in _slices(found):
            now = self._now()
            with self._lock:
                for series in part:
                    self._aggregator.advance(series, now)
            self._hand_on()
            await asyncio.sleep(0)

    def _closed(self, series: Series, period: int, window: Window) -> None:
        """Keep a closed window for `run`: it may have been closed in any thread."""
        if self._on_closed is None:
            return
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append((series, period, window))

    def _hand_on(self) -> None:
        while self._waiting and self._on_closed is not None:
            series, period, window = self._waiting.popleft()
            try:
                self._on_closed(series, period, window)
            except Exception:  # noqa: BLE001 - whoever takes windows does not stop them
                _log.error("statistics.not_handed_on", series=series.name, exc_info=True)


def _slices(items: list[Series]) -> Iterator[list[Series]]:
    for at in range(0, len(items), _SLICE):
        yield items[at : at + _SLICE]
