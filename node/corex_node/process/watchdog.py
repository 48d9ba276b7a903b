"""A server that ends with us, whatever ends us.

A shell in a session of its own starts the server and reads from a pipe whose only other end is
ours. When we are gone, by SIGKILL too, the pipe ends: the shell kills the server and removes the
folder that it made for it. The pipe is close-on-exec, so programs that we start do not hold it.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from corex_shared.errors import InternalError

ANSWER_TIMEOUT = 10.0
"""Seconds within which the shell answers or ends."""

_SCRIPT = Path(__file__).with_name("watchdog.sh")


class Watchdog:
    """Starts one server at a time in a folder (mode 700) that is removed with it.

    Made by its constructor, ended by `close`; in between `start` and `reap` take turns.
    """

    def __init__(self, argv: Sequence[str], prefix: Path) -> None:
        """Start the shell, which makes the folder; not yet the server.

        Args:
            argv: the server and its arguments; it runs in the folder and writes what it has to
                say to the file `output` in it.
            prefix: path of the folder without the random part of its name.

        Raises:
            InternalError: there is no shell, or the folder cannot be made.
        """
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", str(_SCRIPT), str(prefix), *argv],
                bufsize=0,
                cwd="/",
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise InternalError(f"no shell to watch over the server: {error}") from error
        answer = self._answer()
        if not answer.startswith("/"):
            self._end_shell()
            raise InternalError(f"no folder for the server: {answer.lstrip('!')}")
        self.folder = Path(answer)

    def start(self) -> int:
        """Start the server.

        Returns:
            Its process ID, which stays its own until `reap`, even when it ends at once.

        Raises:
            InternalError: the shell is gone.
        """
        return int(self._ask("start"))

    def reap(self) -> int:
        """Take the exit status (as a shell gives it) of a server that has ended.

        Raises:
            InternalError: the shell is gone, or the server has not ended.
        """
        return int(self._ask("reap"))

    def close(self) -> None:
        """Kill the server if it runs, remove the folder; repeating it does nothing."""
        self._end_shell()
        shutil.rmtree(self.folder, ignore_errors=True)  # if the shell was killed

    def _ask(self, word: str) -> str:
        assert self._shell.stdin is not None
        with suppress(BrokenPipeError):  # then there is no answer either
            self._shell.stdin.write(f"{word}\n".encode())
        return self._answer()

    def _answer(self) -> str:
        assert self._shell.stdout is not None
        fd = self._shell.stdout.fileno()
        ready = select.poll()
        ready.register(fd, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            if not ready.poll(ANSWER_TIMEOUT * 1000):
                raise InternalError("the shell that watches over the server does not answer")
            data = os.read(fd, 4096)
            if not data:
                raise InternalError("the shell that watches over the server is gone")
            line += data
        return line.decode(errors="replace").rstrip("\n")

    def _end_shell(self) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.close()
        try:
            self._shell.wait(ANSWER_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()
        self._shell.stdout.close()
