"""One batch of commands on its way through a Cluster: what goes where, and what is sent on. Pure.

A command that was not done where it went is sent on, and only that one: where MOVED and ASK point
to, or to the same place again once the scripts are there. Everything else is an answer. Commands of
one slot go in their order; of two on one key, the second is never sent on without the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, RedisError

from corex_shared.connection.nodes import SlotMap, slot_of, slot_of_key
from corex_shared.connection.urls import Address
from corex_shared.scripts import Barrier, Call, Spread, Step, whole

ROUNDS = 6
"""How often commands are sent on before the Cluster is taken to be in disorder."""


@dataclass(eq=False, slots=True)
class Piece:
    """One command as it goes to one server.

    Attributes:
        call: the command.
        slot: of its keys; None for any.
        items: of the spread that it is a part of.
        ask: where the slot is going to, if the server that has it said so.
        reply: the last answer.
    """

    call: Call
    slot: int | None
    items: Sequence[int] = ()
    ask: Address | None = None
    reply: Any = None


@dataclass(slots=True)
class Verdict:
    """What the answers of one server say beside themselves.

    Attributes:
        lacks_scripts: whether it is to be taught the scripts.
        doubtful: whether the map of the slots is to be read anew.
    """

    lacks_scripts: bool = False
    doubtful: bool = False


@dataclass(slots=True)
class Group:
    """Pieces for one server, in order."""

    address: Address
    pieces: list[Piece] = field(default_factory=list)

    def calls(self) -> list[Call]:
        """Make the commands as they are sent."""
        calls: list[Call] = []
        for piece in self.pieces:
            if piece.ask is not None:
                calls.append(("ASKING",))
            calls.append(piece.call)
        return calls

    def take(self, replies: Iterable[Any]) -> None:
        """Give each piece its answer."""
        answers = iter(replies)
        for piece in self.pieces:
            if piece.ask is not None:
                next(answers)
            piece.reply = next(answers)


class Batch:
    """Steps, cut into pieces, until each has its answer."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._cut = [_pieces(step) for step in steps]
        self._open = [piece for pieces in self._cut for piece in pieces]

    @property
    def is_open(self) -> bool:
        """Whether some pieces are still to be sent."""
        return bool(self._open)

    def groups(self, slots: SlotMap) -> list[Group]:
        """Say what goes where now.

        Raises:
            ClusterDownError: no master is known to have one of the slots.
        """
        groups: dict[Address, Group] = {}
        for piece in self._open:
            address = piece.ask or slots.owner(piece.slot)
            if address is None:
                raise ClusterDownError(f"no master has slot {piece.slot}")
            groups.setdefault(address, Group(address)).pieces.append(piece)
        return list(groups.values())

    def heard(self, group: Group, slots: SlotMap) -> Verdict:
        """Look at the answers of one server, and keep open what is to be sent on."""
        verdict = Verdict()
        done = set()
        for piece in group.pieces:
            reply = piece.reply
            if isinstance(reply, MovedError):
                piece.ask = None
                slots.move(reply.slot_id, _target(reply, group.address))
                verdict.doubtful = True
            elif isinstance(reply, AskError):
                piece.ask = _target(reply, group.address)
            elif isinstance(reply, NoScriptError):
                verdict.lacks_scripts = True
            else:
                verdict.doubtful = verdict.doubtful or isinstance(reply, ClusterDownError)
                done.add(piece)
        self._open = [piece for piece in self._open if piece not in done]
        return verdict

    def answers(self) -> list[Any]:
        """The answers to the steps, in order; errors among them are values."""
        for piece in self._open:
            piece.reply = ClusterDownError(f"sent on {ROUNDS} times: {piece.reply}")
        return [_answer(step, pieces) for step, pieces in zip(self._steps, self._cut, strict=True)]


def _pieces(step: Step) -> list[Piece]:
    if not isinstance(step, Spread):
        call = whole(step)
        return [Piece(call, slot_of(call))]
    by_slot: dict[int, list[int]] = {}
    for item, key in enumerate(step.first_keys()):
        by_slot.setdefault(slot_of_key(key), []).append(item)
    return [Piece(step.part(items), slot, items) for slot, items in by_slot.items()]


def _answer(step: Step, pieces: list[Piece]) -> Any:
    if not isinstance(step, Spread):
        return pieces[0].reply
    errors = [piece.reply for piece in pieces if isinstance(piece.reply, RedisError)]
    if errors:
        return errors[0]
    return step.joined([(piece.items, piece.reply) for piece in pieces])


def _target(error: AskError, said_by: Address) -> Address:
    """Where a slot has gone; a node that does not know the name of the other leaves it empty."""
    return (error.host or said_by[0], error.port)


def parted(steps: Iterable[Step]) -> list[list[Step]]:
    """Cut steps at the barriers between them."""
    parts: list[list[Step]] = [[]]
    for step in steps:
        if isinstance(step, Barrier):
            parts.append([])
        else:
            parts[-1].append(step)
    return parts


def hints_of(steps: Sequence[Step], answers: Sequence[Any]) -> list[Call]:
    """Make the commands that do what the scripts of some steps could not: see `Spread.hints`."""
    return [
        call
        for step, answer in zip(steps, answers, strict=True)
        if isinstance(step, Spread) and step.hints and not isinstance(answer, RedisError)
        for call in step.hints(answer)
    ]
