"""The processes of jobs, by the mark that each inherits."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from tests.helpers.processes import is_gone


def marked_with(jobs: Iterable[str]) -> list[psutil.Process]:
    """Find the processes of jobs that still run, wherever they went."""
    wanted = set(jobs)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("COREX_JOB_ID") in wanted and not is_gone(process):
                found.append(process)
        except psutil.Error:
            continue
    return found
