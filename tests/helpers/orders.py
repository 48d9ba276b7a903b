"""What was asked of nodes in a scenario, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.helpers.wire import Pairs


@dataclass(slots=True)
class Order:
    """One command that was pushed.

    Attributes:
        id: its job.
        kind: of the load's mix, for people.
        states: that its result may have when nothing goes wrong.
        runs: that it may have when nothing goes wrong; None for any number.
        traced: whether its runs write traces.
        queue: that it is in.
        fleet: whether the queue is the whole fleet's.
        retries: whether it runs again when its agent dies (`on_lost`).
        streams: whether its messages are logged.
        output: what it writes to stdout in a run that succeeds; None where that is not looked at.
        pushed: how often it has certainly arrived.
        perhaps: how often more it may have arrived: the answer to the push was lost.
        key: list that it was pushed to; empty when that is a client's affair.
        endless: whether it runs until somebody ends it.
        known: its result as somebody received it; the key may be gone since.
        followed: what somebody received who followed its messages; None for nobody.
    """

    id: str
    kind: str
    states: frozenset[str] = frozenset({"SUCCESS"})
    runs: int | None = 1
    traced: bool = True
    queue: str | None = None
    fleet: bool = False
    retries: bool = False
    streams: bool = False
    output: str | None = None
    pushed: int = 1
    perhaps: int = 0
    key: str = ""
    endless: bool = False
    known: Pairs | None = None
    followed: str | None = None


@dataclass(slots=True)
class BadPayload:
    """Bytes that no node can take.

    Attributes:
        mark: text within them that no other payload has.
        pushed: how often they have certainly arrived.
        perhaps: how often more they may have.
    """

    mark: str
    pushed: int = 1
    perhaps: int = 0


@dataclass(slots=True)
class Orders:
    """All that was pushed, in order."""

    commands: dict[str, Order] = field(default_factory=dict)
    bad: list[BadPayload] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    """What clients met that they should not have."""

    def add(self, order: Order) -> Order:
        """Take note of a command."""
        self.commands[order.id] = order
        return order
