"""From here to a node.

The blocks go into a file beside the destination, `<destination>.<random>.part`, each to its own
place, so that a block that arrives twice does no harm. When the node has found the same checksum
as this side, the file gets its permissions and takes the destination's place in one step.
"""

from __future__ import annotations

import posixpath
from collections import deque
from dataclasses import dataclass
from functools import partial

from corex.ask import read_answer
from corex.core import Core
from corex.effects import Do, Plan
from corex.questions.files import (
    change_mode,
    checksum_file,
    move_path,
    stat_path,
    write_file,
)
from corex.ticket import Ticket
from corex.transfer.copying import ALGORITHM, WINDOW, Copying, Terms, Transferred
from corex.transfer.errands import refused_with
from corex.transfer.local import Local, LocalSource, part_name
from corex_shared.errors import JobFailed

NEW_MODE = 0o644
"""Permissions of a file whose source has none."""

_NOT_FOUND, _CONFLICT = 404, 409
_WRITE = write_file("", b"", None)
"""How the answer to a block is read."""


@dataclass(slots=True)
class _Block:
    """A block that is not known to have arrived."""

    offset: int
    data: bytes
    ticket: Ticket | None = None


class Upload(Copying):
    """One upload."""

    def __init__(
        self,
        core: Core,
        node: str,
        source: Local,
        destination: str,
        terms: Terms,
    ) -> None:
        """Prepare it; nothing is opened or sent.

        Args:
            core: the client's surroundings.
            node: which gets the file.
            source: what is copied, from where it stands if it is a file.
            destination: path on the node.
            terms: how it is copied.

        Raises:
            ValueError: the destination is no path of a file, or the timeout no number of seconds.
        """
        folder, name = posixpath.split(destination)
        if name in ("", ".", ".."):
            raise ValueError(f"destination: {destination!r} is not the path of a file")
        self._source = LocalSource(source)
        what = f"upload of {self._source.name} to {node}:{destination}"
        super().__init__(core, node, what, terms)
        self._destination = destination
        self._beside = posixpath.join(folder, part_name(name))
        self._under_way: deque[_Block] = deque()
        self._taken = 0
        self._ended = False

    def _copy(self) -> Plan[Transferred]:
        yield Do(self._source.open)
        self.total = self._source.size
        yield from self._check_destination()
        self._part = self._beside  # from here on there may be one
        self._fd = yield from self._open_new()
        self._tell()
        yield from self._send()
        yield from self._close()
        yield from self._verify()
        yield from self._errands.insist(change_mode(self._beside, self._final_mode()))
        yield from self._move()
        self._part = None
        return Transferred(self.done, self._source.digest())

    def _close_local(self) -> None:
        self._source.close()

    def _final_mode(self) -> int:
        if self._terms.mode is not None:
            return self._terms.mode
        return NEW_MODE if self._source.mode is None else self._source.mode

    def _check_destination(self) -> Plan[None]:
        try:
            found = yield from self._errands.insist(stat_path(self._destination))
        except JobFailed as error:
            if not refused_with(error, _NOT_FOUND):
                raise
        else:
            if found.is_dir:
                raise self._failed("the destination is a directory")

    # Never with a mode that empties the file: a command that is done late must do no harm.

    def _open_new(self) -> Plan[str]:
        try:
            return (yield from self._open(self._beside, "x"))
        except JobFailed as error:
            if not refused_with(error, _CONFLICT):
                raise
        # An earlier try of ours, whose answer was lost.
        return (yield from self._open(self._beside, "r+"))

    def _open_again(self) -> Plan[str]:
        try:
            return (yield from self._open(self._beside, "r+"))
        except JobFailed as error:
            if not refused_with(error, _NOT_FOUND) or self.done:
                raise
        return (yield from self._open_new())

    def _send(self) -> Plan[None]:
        """Send all blocks, and see them arrive in order."""
        yield from self._fill()
        while self._under_way:
            block = self._under_way[0]
            assert block.ticket is not None
            if (yield from self._block(_WRITE, block.ticket)) is None:
                yield from self._recover()
                yield from self._push(*self._under_way)
                continue
            self._under_way.popleft()
            yield from self._fill()
            self._advance(len(block.data))

    def _fill(self) -> Plan[None]:
        """Have as many blocks under way as may be."""
        while not self._ended and len(self._under_way) < WINDOW:
            data = yield from self._local(partial(self._source.read, self._terms.block))
            self._ended = len(data) < self._terms.block
            self.total = self._source.size
            if data:
                block = _Block(self._taken, data)
                self._taken += len(data)
                self._under_way.append(block)
                yield from self._push(block)

    def _push(self, *blocks: _Block) -> Plan[None]:
        assert self._fd is not None
        questions = [write_file(self._fd, block.data, block.offset) for block in blocks]
        tickets = yield from self._errands.push(questions)
        for block, ticket in zip(blocks, tickets, strict=True):
            block.ticket = ticket

    def _verify(self) -> Plan[None]:
        """See that the node has what was read here.

        Raises:
            TransferError: it has not.
        """
        if (yield from self._local(self._source.is_changed)):
            raise self._failed("the source was changed while it was read")
        size = (yield from self._errands.insist(stat_path(self._beside))).size
        if size != self.done:
            raise self._failed(f"the node has {size} bytes of it")
        digest = yield from self._errands.insist(checksum_file(self._beside, ALGORITHM))
        if digest != self._source.digest():
            raise self._failed(f"the node has other content: its {ALGORITHM} is {digest}")

    def _move(self) -> Plan[None]:
        """Have the file take the destination's place."""
        question = move_path(self._beside, self._destination)
        unsure = False
        while True:
            (ticket,) = yield from self._errands.push([question])
            result = yield from self._errands.outcome(ticket)
            if result is None:
                unsure = True
                yield self._patience.again()
                continue
            try:
                return read_answer(question, result)
            except JobFailed as error:
                # Gone from where it was: the move whose answer was lost may have been done.
                if not unsure or not refused_with(error, _NOT_FOUND):
                    raise
                if not (yield from self._has_arrived()):
                    raise
                return None

    def _has_arrived(self) -> Plan[bool]:
        digest = yield from self._errands.insist(checksum_file(self._destination, ALGORITHM))
        return digest == self._source.digest()
