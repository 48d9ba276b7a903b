"""What uploads and downloads have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from corex.ask import Question, read_answer
from corex.core import Core, Patience
from corex.effects import Do, Plan
from corex.questions.files import BLOCK, close_file, open_file, remove_path
from corex.ticket import Ticket
from corex.transfer.errands import Errands, refused_with
from corex.transfer.error import TransferError
from corex.transfer.local import PRIVATE
from corex_shared.errors import CorexError, DecodeError, JobFailed, StoreError

T = TypeVar("T")

Progress: TypeAlias = Callable[[int, int], object]
"""Told bytes that have arrived, and bytes there are."""

ALGORITHM = "sha256"
TRANSFER_TIMEOUT = 3600.0
"""Seconds that a file may take to be copied unless told otherwise."""
WINDOW = 8
"""Blocks under way at once."""
TIDY_TIMEOUT = 2.0
"""Seconds in which the node is to take away what a transfer leaves that did not succeed."""

_NOT_FOUND = 404
_OPEN = open_file("", "", None)
"""How a descriptor is read."""
_FUTILE = 5
"""How often in turn a descriptor may be gone as soon as it was opened."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a file is to be copied.

    Attributes:
        mode: permissions of the copy; those of the source when None.
        progress: told how far it has come.
        timeout: seconds for all of it.
        block: bytes in one command.
    """

    mode: int | None = None
    progress: Progress | None = None
    timeout: float = TRANSFER_TIMEOUT
    block: int = BLOCK


class Transferred(Struct, frozen=True):
    """What was copied.

    Attributes:
        size: bytes.
        sha256: checksum of them, in hexadecimal, which both sides agree on.
    """

    size: int
    sha256: str


class Copying(ABC):
    """One transfer: `run` does it, and `tidy` must follow, however `run` ended.

    Tasks: open the file on the node, and again when its descriptor is gone; say how far it came;
    leave nothing behind.
    """

    def __init__(self, core: Core, node: str, what: str, terms: Terms) -> None:
        """Prepare it; nothing is opened or sent.

        Args:
            core: the client's surroundings.
            node: whose file it is.
            what: what is done, for messages.
            terms: how.

        Raises:
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        self._core = core
        self._node = node
        self._what = what
        self._terms = terms
        self._patience = Patience(core, what, terms.timeout)
        self._errands = Errands(core, node, self._patience)
        self._fd: str | None = None
        self._opening: Ticket | None = None
        self._part: str | None = None
        self._futile = 0
        self.done = 0
        self.total = 0

    def run(self) -> Plan[Transferred]:
        """Copy the file.

        Raises:
            TransferError: it could not be copied; says why, and how far it came.
            WaitTimeout: it was not copied in time; says how far it came.
            OSError: the local file cannot be opened; nothing was done.
        """
        try:
            return (yield from self._copy())
        except JobFailed as error:
            raise self._failed(str(error), error) from error
        except (DecodeError, StoreError) as error:
            raise self._failed(str(error)) from error

    def tidy(self) -> Plan[None]:
        """Close what is open and remove what is incomplete, on both sides, as far as possible."""
        with suppress(OSError):
            yield Do(self._close_local)
        errands = Errands(self._core, self._node, Patience(self._core, "tidying", TIDY_TIMEOUT))
        with suppress(CorexError):
            claimed = yield from self._errands.give_up()
            yield from self._undo(errands, self._fd)
            if self._opening is not None and self._opening in claimed:
                # Nobody waits for it any more, but it may be done, even after what was just undone.
                result = yield from errands.outcome(self._opening)
                fd = read_answer(_OPEN, result) if result is not None and result.ok else None
                yield from self._undo(errands, fd)

    def _undo(self, errands: Errands, fd: str | None) -> Plan[None]:
        questions: list[Question[Any]] = []
        if fd is not None:
            questions.append(close_file(fd))
        if self._part is not None:
            questions.append(remove_path(self._part))
        if questions:
            for ticket in (yield from errands.push(questions)):
                yield from errands.outcome(ticket)

    @abstractmethod
    def _copy(self) -> Plan[Transferred]:
        """Do all of it."""

    @abstractmethod
    def _close_local(self) -> None:
        """Close the local file, and remove it if it is incomplete."""

    @abstractmethod
    def _open_again(self) -> Plan[str]:
        """Open the file on the node once more, as it is."""

    def _open(self, path: str, mode: str) -> Plan[str]:
        question = open_file(path, mode, PRIVATE)
        while True:
            self._opening = self._errands.prepare(question)
            yield from self._errands.send([self._opening])
            result = yield from self._errands.outcome(self._opening)
            self._opening = None
            if result is not None:
                return read_answer(question, result)
            yield self._patience.again()

    def _close(self) -> Plan[None]:
        if self._fd is not None:
            yield from self._errands.insist(close_file(self._fd))
            self._fd = None

    def _recover(self) -> Plan[None]:
        """Open the file again after a setback.

        Raises:
            WaitTimeout: there is no time left for another try.
            JobFailed: it cannot be opened any more.
        """
        yield self._patience.again()
        yield from self._close()
        self._fd = yield from self._open_again()

    def _block(self, question: Question[T], ticket: Ticket) -> Plan[tuple[T] | None]:
        """Wait for the answer to one block.

        Returns:
            The answer in a tuple; None when the descriptor is gone or the answer is lost.

        Raises:
            JobFailed: the block was refused for good.
        """
        result = yield from self._errands.outcome(ticket)
        if result is None:
            return None
        try:
            return (read_answer(question, result),)
        except JobFailed as error:
            if not refused_with(error, _NOT_FOUND) or self._futile >= _FUTILE:
                raise
            self._futile += 1
            return None

    def _advance(self, count: int) -> None:
        """Note that bytes have arrived."""
        self.done += count
        self._futile = 0
        self._patience.succeeded()
        self._tell()

    def _tell(self) -> None:
        self._patience.rename(f"{self._what} ({self.done} of {self.total} bytes were copied)")
        if self._terms.progress is not None:
            self._terms.progress(self.done, self.total)

    def _local(self, function: Callable[[], T]) -> Plan[T]:
        """Work with the local file.

        Raises:
            TransferError: it did not work.
        """
        try:
            value: T = yield Do(function)
        except OSError as error:
            raise self._failed(str(error)) from error
        return value

    def _failed(self, reason: str, refusal: JobFailed | None = None) -> TransferError:
        result = refusal.result if refusal is not None else None
        return TransferError(self._what, reason, self.done, self.total, result)
