"""A program on a terminal of its own, and what is to be seen on its screen.

The terminal is real (a pseudo-terminal of the kernel, of which the program is the session leader),
its screen is worked out by pyte from what the program writes.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pyte

from tests.helpers.eventually import eventually

UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
ENTER, ESCAPE, TAB, CTRL_C, CTRL_Z = "\r", "\x1b", "\t", "\x03", "\x1a"

_PRIVATE_PREFIX = re.compile(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]")
"""Sequences that pyte takes for others."""


class Terminal:
    """One program on a terminal, from `with` to its end; what is left of it is killed then.

    Attributes:
        process: the program.
        written: all that it has written.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; it is started by `with`.

        Args:
            command: the program and its arguments.
            columns: width of the terminal.
            lines: height of the terminal.
            env: its whole environment, to which TERM is added; ours if None.
        """
        self._command = list(command)
        self._env = {**(os.environ if env is None else env), "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            if env is None or os.environ.get(name) == env.get(name):
                self._env.pop(name, None)
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._size = (lines, columns)
        self.written = b""
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        self._slave = slave  # kept, so that the terminal's settings can be looked at in the end
        self._set_size(*self._size)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *self._command],  # which becomes the program
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._env,
        )
        self._closing, self._close = os.pipe()
        self._thread = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.write(self._close, b"x")
        self._thread.join()
        for fd in (self._master, self._slave, self._closing, self._close):
            os.close(fd)
        if error is not None:
            error.add_note(f"the screen:\n{self.text}")

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._closing], [], [])
            if self._closing in ready and self._master not in ready:
                return
            data = os.read(self._master, 65536)
            with self._lock:
                self.written += data
                self._stream.feed(_PRIVATE_PREFIX.sub(b"", data))

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without blanks at their ends."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The whole screen, without empty lines at its end."""
        return "\n".join(self.lines).rstrip("\n")

    def colours(self, text: str) -> set[str]:
        """Tell the colours of a text that is on the screen: of each place where it is."""
        found: set[str] = set()
        with self._lock:
            for row, line in enumerate(self._screen.display):
                for match in re.finditer(re.escape(text), line):
                    found.add(self._screen.buffer[row][match.start()].fg)
        return found

    @property
    def modes(self) -> dict[str, bool]:
        """Whether the terminal echoes, and gathers lines: as shells expect it to."""
        local: Any = termios.tcgetattr(self._slave)[3]
        return {"echo": bool(local & termios.ECHO), "lines": bool(local & termios.ICANON)}

    @property
    def cursor_hidden(self) -> bool:
        """Whether the cursor is hidden."""
        with self._lock:
            return bool(self._screen.cursor.hidden)

    def press(self, *keys: str) -> None:
        """Type something."""
        for key in keys:
            os.write(self._master, key.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal; the program is told."""
        with self._lock:
            self._screen.resize(lines, columns)
        self._set_size(lines, columns)

    def _set_size(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def shows(self, *texts: str, seconds: float = 10) -> str:
        """Wait until all texts are on the screen; return the screen."""
        eventually(
            lambda: all(text in self.text for text in texts),
            f"on the screen: {', '.join(texts)}",
            seconds=seconds,
        )
        return self.text

    def shows_no(self, text: str, *, seconds: float = 10) -> str:
        """Wait until a text is no longer on the screen; return the screen."""
        eventually(lambda: text not in self.text, f"no longer: {text}", seconds=seconds)
        return self.text

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def ends(self, seconds: float = 15) -> int:
        """Wait for the program's end; return its exit code. All that it wrote is on the screen."""
        code = self.process.wait(seconds)
        eventually(lambda: not select.select([self._master], [], [], 0)[0], "all is read")
        return code
