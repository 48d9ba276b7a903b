"""How far a run has come: a line below its output, on stderr, on a terminal only."""

from __future__ import annotations

import sys
from typing import Any

from corex.fleet.outcome import SKIPPED, Outcome

_ERASE = "\r\x1b[K"
_BAR = 24
"""Columns of the bar."""


class StatusLine:
    """One line, to be hidden before anything else is written and shown after it.

    It is nothing but calls where there is no terminal, or only one node.
    """

    def __init__(self, total: int) -> None:
        """Prepare.

        Args:
            total: nodes of the run.
        """
        self._total = total
        self._started = self._ended = self._failed = self._skipped = 0
        self._console: Any = None
        self._is_shown = False
        self._text: str | None = None
        self._bars: dict[int, str] = {}
        if total > 1 and sys.stderr.isatty():
            from rich.console import Console

            console = Console(stderr=True, highlight=False, markup=False, emoji=False)
            self._console = None if console.is_dumb_terminal else console

    def started(self) -> None:
        """Count a node that was started."""
        self._started += 1
        self._text = None

    def ended(self, outcome: Outcome) -> None:
        """Count a node that has its outcome."""
        self._ended += 1
        self._failed += outcome.failed
        self._skipped += outcome.status == SKIPPED
        if outcome.job is None:
            self._started += 1  # and ended: never among those that run
        self._text = None

    def hide(self) -> None:
        """Leave an empty line in its place, with the cursor at its beginning."""
        if self._is_shown:
            self._is_shown = False
            self._write(_ERASE)

    def show(self) -> None:
        """Write it, unless the run is over."""
        if self._console is None or self._ended == self._total:
            return
        if self._text is None:
            self._text = self._draw()
        self._is_shown = True
        self._write(_ERASE + self._text)

    def _draw(self) -> str:
        """Make the line; there may be thousands of changes a second, few of which the bar shows."""
        counts = {
            "running": self._started - self._ended,
            "failed": self._failed,
            "skipped": self._skipped,
        }
        parts = [f"{self._ended} of {self._total}"]
        parts += [f"{count} {what}" for what, count in counts.items() if count > 0]
        # A line that fills the terminal would go on in the next one; `^C` wants room too.
        room = self._console.width - 4
        text = ", ".join(parts)
        if room < _BAR + 1 + len(text):
            return text[: max(0, room)]
        return f"{self._draw_bar()} {text}"

    def _draw_bar(self) -> str:
        step = 2 * _BAR * self._ended // self._total  # it has half columns
        if step not in self._bars:
            from rich.progress_bar import ProgressBar

            bar = ProgressBar(total=2 * _BAR, completed=step, width=_BAR)
            with self._console.capture() as captured:
                self._console.print(bar, end="")
            self._bars[step] = str(captured.get()).rstrip("\n")
        return self._bars[step]

    def _write(self, text: str) -> None:
        sys.stderr.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
