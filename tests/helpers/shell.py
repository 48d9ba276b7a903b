"""A shell as a reader of the guide has one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

SECONDS = 60.0
"""That a command may take."""
_END_SECONDS = 20.0


class Shell:
    """A bash that is given one command after the other, and remembers what they leave behind.

    What commands write to stdout and stderr is one text, as on a terminal; they have no input.
    """

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        """Start it.

        Args:
            folder: where it is.
            env: its whole environment.
        """
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._mark = f"-- {uuid.uuid4().hex}"
        self._code = 0
        self._text = ""

    @property
    def text(self) -> str:
        """What a command that has not ended has written."""
        return self._text

    def run(self, command: str, seconds: float = SECONDS) -> tuple[int, str]:
        """Run a command to its end.

        Returns:
            Its exit code, and what it wrote.

        Raises:
            AssertionError: it did not end in time.
        """
        self.begin(command)
        before, end = self._read_until(self._end, seconds, command)
        self._code = int(end)
        return self._code, before

    def begin(self, command: str) -> None:
        """Start a command that need not end; another may follow when it has."""
        assert self._process.stdin is not None
        # `$?` is what the reader's last command left there, not the end mark's.
        before, after = f"(exit {self._code})", f"printf '%s %s\\n' '{self._mark}' $?"
        text = f"{before}\n{{ {command}\n}} </dev/null\n{after}\n"
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def wait_for(self, shown: Callable[[str], bool], seconds: float = SECONDS) -> None:
        """Wait until what a command has written so far is what a caller wants.

        Raises:
            AssertionError: it was not in time; says what was there.
        """
        self._read_until(lambda text: ("", "") if shown(text) else None, seconds, "what is shown")

    def close(self) -> None:
        """End it and all that it runs, by SIGTERM, and see that it ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.stdin.close()
        try:
            # Whoever still has its output runs.
            self._read_until(lambda _: None, _END_SECONDS, "the end of the shell", to_end=True)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _end(self, text: str) -> tuple[str, str] | None:
        before, mark, after = text.partition(self._mark)
        if not mark or "\n" not in after:
            return None
        code, _, rest = after.partition("\n")
        self._text = rest
        return before, code

    def _read_until(
        self,
        found: Callable[[str], tuple[str, str] | None],
        seconds: float,
        what: str,
        *,
        to_end: bool = False,
    ) -> tuple[str, str]:
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while (answer := found(self._text)) is None:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([output], [], [], left)[0]
            assert ready, f"not within {seconds:g} s: {what}; written so far:\n{self._text}"
            data = os.read(output, 65536)
            if not data and to_end:
                return "", ""
            assert data, f"the shell has ended before {what}:\n{self._text}"
            self._text += data.decode()
        return answer
