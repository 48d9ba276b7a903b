"""What a test run leaves behind: nothing."""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

import psutil

# Not COREX_…: agents keep those from their jobs.
_MARK = "TEST_RUN_OF_COREX"


class Leftovers:
    """Marks all that is started from now on and finds what is left of it.

    Every process inherits the mark in its environment, so that one whose parent has died is found
    too. Temporary files go to a folder of this run.
    """

    def __init__(self, folder: Path) -> None:
        """Set the marks.

        Args:
            folder: an empty one for temporary files.
        """
        self._value = uuid.uuid4().hex
        self._folder = folder
        os.environ[_MARK] = self._value
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None  # it is looked up anew

    def processes(self) -> list[str]:
        """Describe the processes of this run that still run, zombies among our children too."""
        own = psutil.Process()
        children = {child.pid for child in own.children(recursive=True)}
        return [
            f"{process.pid} {process.info['status']} {process.info['cmdline']}"
            for process in psutil.process_iter(["status", "cmdline"])
            if process.pid != own.pid and (process.pid in children or self._is_marked(process))
        ]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._value
        except psutil.Error:
            return False

    def files(self) -> list[str]:
        """Name what is in the folder for temporary files."""
        return sorted(str(path) for path in self._folder.iterdir())
