"""The terminal that a live view has for itself.

Tasks: switch to the alternate screen and to keys without echo; give everything back however the
view ends, also when it is stopped for a while (Ctrl-Z); tell keys, signals and changes of size.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from corex.cli.screen.keyboard import Keyboard

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ESCAPE_SECONDS = 0.05
"""Within which the rest of a key follows its first byte."""
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_SUSPEND, _RESIZE = signal.SIGTSTP, signal.SIGWINCH


class LiveTerminal:
    """The terminal, from `with` to its end.

    Attributes:
        ended_by: the signal that asked the view to end, 0 if none did.
        resized: whether all must be drawn anew.
    """

    def __init__(self, console: Console) -> None:
        """Prepare it; nothing is changed yet.

        Args:
            console: of the terminal.
        """
        from rich.live import Live

        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._keyboard = Keyboard()
        self._keys = sys.stdin.fileno()
        self._saved: list[Any] | None = None
        self._suspend = False
        self.ended_by = 0
        self.resized = False

    def __enter__(self) -> Self:
        self._wakes, self._wake = os.pipe()
        os.set_blocking(self._wakes, False)
        os.set_blocking(self._wake, False)
        self._handlers: dict[int, Any] = {}
        self._before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number, handler in self._wanted():
            self._handlers[number] = signal.signal(number, handler)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._give_back()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._before)
            os.close(self._wakes)
            os.close(self._wake)

    def _wanted(self) -> Iterator[tuple[int, Callable[[int, FrameType | None], None]]]:
        for name in _ENDING:
            number = getattr(signal, name)
            if signal.getsignal(number) is not signal.SIG_IGN:  # an ignored signal stays so
                yield number, self._end
        yield _SUSPEND, self._ask_to_suspend
        yield _RESIZE, self._note_size

    def _end(self, number: int, _: FrameType | None) -> None:
        self.ended_by = number

    def _ask_to_suspend(self, *_: object) -> None:
        self._suspend = True

    def _note_size(self, *_: object) -> None:
        self.resized = True

    def _take(self) -> None:
        self._saved = termios.tcgetattr(self._keys)
        tty.setcbreak(self._keys)  # signals by keys stay
        self._live.start()
        self.resized = True

    def _give_back(self) -> None:
        # The terminal may be gone: then there is nothing to give back.
        with contextlib.suppress(OSError):
            self._live.stop()
        if self._saved is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)

    def wake(self) -> None:
        """Let `keys` return; for other threads."""
        with contextlib.suppress(OSError):
            os.write(self._wake, b"\0")

    def draw(self, picture: RenderableType) -> None:
        """Draw the whole screen in one go."""
        self.resized = False
        self._live.update(picture, refresh=True)

    def keys(self, seconds: float) -> list[str]:
        """Wait for keys, a signal, a wake or the end of the time; returns the keys.

        Raises:
            OSError: the terminal is gone.
        """
        pause = ESCAPE_SECONDS if self._keyboard.waits else seconds
        ready, _, _ = select.select([self._keys, self._wakes], [], [], pause)
        if self._wakes in ready:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._wakes, 4096):
                    pass
        if self._suspend:
            self._stop_for_a_while()
        if self._keys in ready:
            data = os.read(self._keys, 4096)
            if not data:
                raise OSError("the terminal is gone")
            return self._keyboard.feed(data)
        return self._keyboard.flush() if not ready else []

    def _stop_for_a_while(self) -> None:
        """Do what Ctrl-Z is for, with the terminal as it was; go on when told to."""
        self._suspend = False
        self._give_back()
        handler = signal.signal(_SUSPEND, signal.SIG_DFL)
        try:
            signal.raise_signal(_SUSPEND)
        finally:
            signal.signal(_SUSPEND, handler)
            self._take()
