"""From a node to here.

The blocks are read by their places, so that one whose answer is lost is read again, and written
in their order. A file on this side is written beside the destination, as
`<destination>.<random>.part`, and takes its place in one step, when the node has found the same
checksum and the file there is still what it was at the beginning.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

from corex.core import Core
from corex.effects import Do, Plan
from corex.questions.files import FileStat, checksum_file, read_file, stat_path
from corex.ticket import Ticket
from corex.transfer.copying import ALGORITHM, WINDOW, Copying, Terms, Transferred
from corex.transfer.local import Local, LocalTarget

_READ = read_file("", None, None)
"""How the answer to a block is read."""
_CHANGED = "the file was changed while it was read"


@dataclass(slots=True)
class _Block:
    """A block that has not come."""

    offset: int
    size: int
    ticket: Ticket | None = None


class Download(Copying):
    """One download."""

    def __init__(
        self,
        core: Core,
        node: str,
        source: str,
        destination: Local,
        terms: Terms,
    ) -> None:
        """Prepare it; nothing is opened or sent.

        Args:
            core: the client's surroundings.
            node: whose file it is.
            source: path on the node.
            destination: where it goes.
            terms: how it is copied.

        Raises:
            ValueError: the timeout is not a number of seconds, 0 or more.
        """
        self._target = LocalTarget(destination)
        what = f"download of {node}:{source} to {self._target.name}"
        super().__init__(core, node, what, terms)
        self._source = source
        self._under_way: deque[_Block] = deque()
        self._asked = 0

    def _copy(self) -> Plan[Transferred]:
        before = yield from self._errands.insist(stat_path(self._source))
        if before.is_dir:
            raise self._failed("the source is a directory")
        self.total = before.size
        yield Do(self._target.open)
        self._fd = yield from self._open(self._source, "r")
        self._tell()
        yield from self._fetch()
        yield from self._close()
        yield from self._verify(before)
        mode = before.mode if self._terms.mode is None else self._terms.mode
        yield from self._local(partial(self._target.finish, mode & 0o777))
        return Transferred(self.done, self._target.digest())

    def _close_local(self) -> None:
        self._target.close()

    def _open_again(self) -> Plan[str]:
        return (yield from self._open(self._source, "r"))

    def _fetch(self) -> Plan[None]:
        """Read all blocks, and write them in order."""
        yield from self._fill()
        while self._under_way:
            block = self._under_way[0]
            assert block.ticket is not None
            answer = yield from self._block(_READ, block.ticket)
            if answer is None:
                yield from self._recover()
                yield from self._push(*self._under_way)
                continue
            (data,) = answer
            if len(data) != block.size:
                raise self._failed(_CHANGED)
            self._under_way.popleft()
            yield from self._fill()
            yield from self._errands.discard(block.ticket)
            yield from self._local(partial(self._target.write, data))
            self._advance(block.size)

    def _fill(self) -> Plan[None]:
        """Have as many blocks under way as may be."""
        blocks = []
        while self._asked < self.total and len(self._under_way) < WINDOW:
            block = _Block(self._asked, min(self._terms.block, self.total - self._asked))
            self._asked += block.size
            self._under_way.append(block)
            blocks.append(block)
        if blocks:
            yield from self._push(*blocks)

    def _push(self, *blocks: _Block) -> Plan[None]:
        assert self._fd is not None
        questions = [read_file(self._fd, block.size, block.offset) for block in blocks]
        tickets = yield from self._errands.push(questions)
        for block, ticket in zip(blocks, tickets, strict=True):
            block.ticket = ticket

    def _verify(self, before: FileStat) -> Plan[None]:
        """See that what was written is what the node has, and that it has not changed.

        Raises:
            TransferError: it is not, or it has.
        """
        after = yield from self._errands.insist(stat_path(self._source))
        if (after.size, after.mtime) != (before.size, before.mtime):
            raise self._failed(_CHANGED)
        digest = yield from self._errands.insist(checksum_file(self._source, ALGORITHM))
        if digest != self._target.digest():
            raise self._failed(f"{_CHANGED}: its {ALGORITHM} is {digest}")
