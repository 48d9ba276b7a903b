"""Nodes that are away, and when each is to be looked at. Pure: times are the server's, in ms.

That a node's lease is over does not tell that its agent is gone: while Redis was away, nobody could
renew a lease. So a node is looked at only when it has been silent for some time in which Redis was
there all along, and would have heard it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LOOKS = 4
"""Looks at the list of nodes while one of them must be seen to be silent."""
_SLACK = 500.0
"""Ms by which a look may be late."""
_SHARE = 10
"""A node that has been away for ten minutes is looked at again after one, and so on …"""
_LONGEST_REST = 300_000.0
"""… up to this many ms."""
_APART = 10_000.0
"""Ms between looks at any two of the nodes at which there was nothing to do."""
_PER_MS = 1
"""Commands that wait in a list are looked through, so many in a ms on average."""
_DOUBT = 600_000.0
"""Ms for which lists that are as long as they were are taken to hold what they held; and for which
only nodes are looked for that fell silent since the last look."""


@dataclass(slots=True)
class Remains:
    """What a node that is away has left, when all of it was looked through.

    Attributes:
        looked: when that was.
        sizes: of what is claimed and of each list, as far as they were looked through.
        earliest: when the first of the commands expires, None when none does.
    """

    looked: float
    sizes: tuple[int, ...] = ()
    earliest: float | None = None

    def are_known(self, sizes: tuple[int, ...], now: float) -> bool:
        """Whether nothing is to be done, going by the sizes that they have now."""
        expired = self.earliest is not None and self.earliest <= now
        return sizes == self.sizes and not expired and now - self.looked < _DOUBT

    def may_expire(self, at: float) -> None:
        """Take note of a command that expires."""
        self.earliest = at if self.earliest is None else min(self.earliest, at)


@dataclass(slots=True)
class Absentee:
    """A node that is away.

    Attributes:
        node: its ID.
        seen: when it was seen last, as Redis writes it: the same for as long as it is away.
        due: when it is to be looked at.
        doubted: whether it may be there: it was not silent for long enough.
        remains: of the last look, None before it.
    """

    node: str
    seen: bytes
    due: float
    doubted: bool = True
    remains: Remains | None = None

    def away(self, now: float) -> float:
        """Ms for which it has been away."""
        return now - float(self.seen)


class Absentees:
    """All nodes that are known to be away.

    Attributes:
        since: up to here, those that fell silent are known.
        known: by ID.
    """

    def __init__(self, patience: float) -> None:
        """Begin with none; `patience` is how long a node must be seen to be silent, in ms."""
        self.since = b"-inf"
        self.known: dict[str, Absentee] = {}
        self._patience = patience
        self._pause = patience
        self._last: float | None = None
        self._whole = 0.0  # when the whole list was looked at

    def heard(self, now: float, till: bytes, silent: Mapping[str, bytes]) -> None:
        """Take what a look at the list of nodes has found.

        Args:
            now: when that was.
            till: end of the span that was looked at.
            silent: node → when it was seen last, of those that fell silent in the span.
        """
        last = self._last
        if last is None or not 0 <= now - last <= 2 * self._pause + _SLACK:
            self._doubt_all(now)
        self._last = now
        if self.since == b"-inf":
            self._whole = now
        # Whatever else somebody wrote there is found in time.
        self.since = till if now - self._whole < _DOUBT else b"-inf"
        for node, seen in silent.items():
            known = self.known.get(node)
            if known is None or known.seen != seen:
                self.known[node] = Absentee(node, seen, now + self._patience)

    def lost_contact(self) -> None:
        """Redis is away: once it is back, nodes have all their time to be heard again."""
        self._last = None

    def _doubt_all(self, now: float) -> None:
        for absentee in self.known.values():
            if absentee.due < now + self._patience:
                absentee.due = now + self._patience
                absentee.doubted = True

    def due(self, now: float) -> list[Absentee]:
        """Those to be looked at now."""
        found = [absentee for absentee in self.known.values() if absentee.due <= now]
        for absentee in found:
            absentee.doubted = False
        return found

    def pause(self, now: float) -> float:
        """Ms until the next look at the list of nodes."""
        self._pause = self._patience
        if any(absentee.doubted for absentee in self.known.values()):
            self._pause /= _LOOKS
        elif self.known:
            soonest = min(absentee.due for absentee in self.known.values()) - now
            self._pause = min(self._patience, max(soonest, self._patience / _LOOKS))
        return self._pause

    def rest(self, absentee: Absentee, now: float) -> float:
        """Ms for which nobody needs to look at a node that was looked through."""
        remains = absentee.remains
        if remains is None:
            return self._patience
        rest = min(absentee.away(now) / _SHARE, _LONGEST_REST)
        if remains.earliest is not None:
            rest = min(rest, remains.earliest - now)
        return max(rest, self._patience, sum(remains.sizes) / _PER_MS)

    def put_off(self, absentee: Absentee, due: float, *, urgent: bool) -> None:
        """Look at a node again; later than it is due where many are away and it is not urgent."""
        spread = 0.0 if urgent else _APART * (len(self.known) - 1)
        absentee.due = due + spread

    def drop(self, absentee: Absentee) -> None:
        """Look at a node no more, unless it falls silent again."""
        self.known.pop(absentee.node, None)
