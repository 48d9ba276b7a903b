"""What ran, and how often: each command appends its ID to a file."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path


class Diary:
    """A file to which jobs append a line each time they run."""

    def __init__(self, path: Path) -> None:
        """Begin empty."""
        self._path = path
        path.touch()

    def script(self, then: str = "") -> str:
        """Write a script for `sh` that notes the job's ID, then does something else."""
        # O_APPEND: lines of several writers never mix.
        note = f'echo "$COREX_JOB_ID" >> {shlex.quote(str(self._path))}'
        return f"{note}; {then}" if then else note

    def lines(self) -> list[str]:
        """IDs in the order in which they ran."""
        return self._path.read_text().split()

    def runs(self) -> Counter[str]:
        """How often each ran."""
        return Counter(self.lines())

    def has(self, lines: int) -> bool:
        """Whether at least so many commands ran."""
        return len(self.lines()) >= lines
