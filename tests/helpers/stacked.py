"""Several things that are started together, and ended together however that goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Stacked(ABC):
    """A context in which what `start` puts on the stack is there."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.stack = ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Start all of it; what was put on the stack is ended if that fails."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()
