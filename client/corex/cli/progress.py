"""How far a copy has come: a line on stderr, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from corex.cli.escape import safe_cell

_LONGEST_NAME = 24


@contextlib.contextmanager
def shown_progress(name: str, *, ends: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar with the rate and the remaining time, until the end.

    Args:
        name: of what is copied.
        ends: it is known how much there is.

    Yields:
        What is to be told of bytes that were copied and bytes that there are; None when there is
        no terminal to show it on. When the end is not known, only what was copied is shown.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    label = Text(safe_cell(name))
    label.truncate(_LONGEST_NAME, overflow="ellipsis")
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("  "),  # room for the `^C` that a terminal echoes
        console=Console(stderr=True, highlight=False, markup=False, emoji=False),
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with progress:
        task = progress.add_task(label.plain, total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(done, total, 1) if ends else None)

        yield tell
