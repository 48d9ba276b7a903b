"""Following the log channels of nodes: what their jobs say to operators.

These channels have no log behind them. What is published while a connection is lost is not heard,
and since each channel has only the messages of certain levels, a jump in a job's numbers tells no
more than how many messages may be among the missing. So after every loss a `Gap` says that there
was one, and another one, for each job that is heard of before and after it, how many messages of
that job were not heard at most.

Redis lets a user with channels of its own subscribe to exactly those patterns that its rights name,
and to no narrower one. Such a user hears all nodes, and passes over those that are not meant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from corex.core import Core, Patience
from corex.effects import Emit, Listen, Plan, Subscribe
from corex.streams import Gap
from corex_shared.codec import decode_message
from corex_shared.errors import DecodeError, StoreForbiddenError, StoreUnavailableError
from corex_shared.models import Message
from corex_shared.states import Flag, Level

LISTEN = 1.0
"""Seconds of one wait for messages."""
JOBS = 10_000
"""Jobs whose last number is remembered, those heard of last."""


def follow_nodes(
    core: Core, globs: Sequence[str], timeout: float, levels: Collection[int] = ()
) -> Plan[None]:
    """Emit the messages that nodes publish in their log channels.

    Args:
        core: the client's surroundings.
        globs: over node IDs: `*`, `?` and `[…]`.
        timeout: seconds.
        levels: of the messages that are wanted; all that is published if empty.

    Raises:
        WaitTimeout: the time is up; there is no other end.
        StoreRefusedError: this user may not subscribe.
    """
    patience = Patience(core, "log of nodes", timeout)
    following = _Following(set(levels), globs)
    channels = [core.keys.node_log(_as_redis(glob)) for glob in globs]
    everything = [core.keys.node_log("*")]
    subscribed = False
    while True:
        try:
            if not subscribed:
                yield Subscribe(channels, patterns=True)
                subscribed = True
                patience.succeeded()
                yield from following.connected()
            if not patience.left:
                raise patience.timeout()
            for payload in (yield Listen(min(LISTEN, patience.left))):
                yield from following.take(payload)
        except StoreForbiddenError:
            if channels == everything:
                raise
            channels = everything
        except StoreUnavailableError as error:
            subscribed = False
            yield patience.failed(error)


def _as_redis(glob: str) -> str:
    """Write a shell's glob as one of Redis: it negates sets by another sign."""
    return glob.replace("[!", "[^")


class _Following:
    """What was heard so far."""

    def __init__(self, levels: set[int], globs: Sequence[str]) -> None:
        self._levels = levels
        self._globs = globs
        self._last: dict[str, int] = {}  # those heard of last at the end
        self._doubtful: set[str] = set()  # heard of before the connection was lost, not since
        self._connections = 0

    def connected(self) -> Plan[None]:
        """Take note of a new connection; what was published since the last one is lost."""
        self._connections += 1
        if self._connections > 1:
            self._doubtful = set(self._last)
            why = "the connection was lost; what nodes logged meanwhile was not heard"
            yield Emit(_gap(why, seq=0))

    def take(self, payload: bytes) -> Plan[None]:
        """Take a message."""
        try:
            message = decode_message(payload)
        except DecodeError:
            return  # whoever may publish can publish junk
        if not any(fnmatchcase(message.node, glob) for glob in self._globs):
            return
        job = message.job
        if job in self._doubtful:
            self._doubtful.discard(job)
            count = message.seq - self._last[job] - 1
            if count > 0:
                why = f"up to {count} messages of job {job} were not heard"
                yield Emit(_gap(why, seq=message.seq - 1, like=message, count=count))
        self._remember(message)
        if not self._levels or message.level in self._levels:
            yield Emit(message)

    def _remember(self, message: Message) -> None:
        self._last.pop(message.job, None)
        if message.is_last:
            return
        self._last[message.job] = message.seq
        while len(self._last) > JOBS:
            self._doubtful.discard(first := next(iter(self._last)))
            del self._last[first]


def _gap(why: str, *, seq: int, like: Message | None = None, count: int | None = None) -> Gap:
    return Gap(
        job=like.job if like else "",
        node=like.node if like else "",
        seq=seq,
        level=Level.WARNING,
        flags=Flag.STREAM,
        message=f"{why}\n",
        epoch=like.epoch if like else 0,
        count=count,
    )
