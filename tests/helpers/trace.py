"""What jobs themselves say of their runs: lines in one file, which no part of corex writes.

Each line is appended in one write to a file opened for appending, so the kernel puts all lines in
one order: what stands before was before. No clock is needed for that; the one that is noted (the
time since the machine's boot, with a resolution of 10 ms) is for people.

Whether two runs overlap is told by a lock that a run holds for as long as any process of it
lives: the next run finds it held, also when the first was killed and could not say that it ended.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FREE = "free"
"""What a run says that found its lock free, or asked for none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        job: who says it.
        begins: whether it says that a run begins; else that it ends.
        uptime: seconds since the boot.
        pid: of the run's shell.
        found: `free`, or who held the lock that the run asked for.
        token: fencing token that the run was given; empty for none.
        code: with which the run ends; 0 where it begins.
    """

    job: str
    begins: bool
    uptime: float = 0.0
    pid: int = 0
    found: str = FREE
    token: str = ""
    code: int = 0


class Trace:
    """The file, and the scripts that write it."""

    def __init__(self, folder: Path) -> None:
        """Begin empty, in a folder of its own, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / "trace"
        self._path.touch()

    def script(self, body: str = "", *, lock: str | None = None) -> str:
        """Write a script for `sh` that says when it begins and ends.

        Args:
            body: what it does in between; the exit code is the last command's.
            lock: what no two runs may hold at once: a queue, or the job itself.
        """
        said, file = "$COREX_JOB_ID $up $$", shlex.quote(str(self._path))
        parts = ["found=free"]
        if lock is not None:
            path = shlex.quote(str(self._folder / f"lock.{lock}"))
            parts.append(
                f"exec 9>>{path}; flock -n 9 || found=$(cat {path}.owner); "
                f'echo "$COREX_JOB_ID" >{path}.owner'
            )
        parts += [
            "read -r up _ </proc/uptime",
            f'echo "begin {said} ${{found:-somebody}} ${{COREX_FENCING_TOKEN:--}}" >>{file}',
            f"( {body}\n)" if body else "true",
            "code=$?",
            "read -r up _ </proc/uptime",
            f'echo "end {said} $code" >>{file}',
            "exit $code",
        ]
        return "; ".join(parts)

    def lines(self) -> list[Line]:
        """Read all that was said, in order."""
        return list(_parsed(self._path.read_text().splitlines()))

    def begun(self) -> int:
        """Count the runs that have begun."""
        return self._path.read_bytes().count(b"begin ")


def _parsed(lines: Iterable[str]) -> Iterator[Line]:
    for text in lines:
        word, job, uptime, pid, *more = text.split()
        if word == "begin":
            token = "" if more[1] == "-" else more[1]
            yield Line(job, True, float(uptime), int(pid), more[0], token)
        else:
            yield Line(job, False, float(uptime), int(pid), code=int(more[0]))
