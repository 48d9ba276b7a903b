"""Ending a command by a signal as Ctrl-C ends it: what was begun is tidied up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from corex.cli.exits import INTERRUPTED


class Interrupted(KeyboardInterrupt):
    """A signal other than that of Ctrl-C asks to end."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number
        super().__init__()


def code_of(interrupt: KeyboardInterrupt) -> int:
    """Tell the exit code of a command that was ended so."""
    return interrupt.code if isinstance(interrupt, Interrupted) else INTERRUPTED


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals that end a program raise `Interrupted`; one that is ignored stays so."""
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    before = {
        number: signal.signal(number, _raise)
        for number in numbers
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)
