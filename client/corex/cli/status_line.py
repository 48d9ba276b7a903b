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
        if total > 1 and sys.stderr.isatty():
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)

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
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        parts = [f"{self._ended} of {self._total}"]
        counts = {
            "running": self._started - self._ended,
            "failed": self._failed,
            "skipped": self._skipped,
        }
        parts += [f"{count} {what}" for what, count in counts.items() if count > 0]
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=self._total, completed=self._ended, width=_BAR)
        row.add_row(bar, Text(", ".join(parts), style="red" if self._failed else ""))
        with self._console.capture() as captured:
            # A line that fills the terminal would go on in the next one; `^C` wants room too.
            self._console.print(row, width=max(1, self._console.width - 4))
        return str(captured.get()).partition("\n")[0]

    def _write(self, text: str) -> None:
        sys.stderr.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
