"""The order in which services start, and the reverse in which they stop. Pure.

A service comes after others, and after a phase: `init`, `net`, `boot`, one after the other. It is
in the latest phase that it names itself or that one of those it comes after is in; naming nothing
is naming `boot`. It starts when those that it names run, and when nothing of an earlier phase is
still on its way; a service of an earlier phase that failed holds up nobody who does not name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError as _GraphCycleError
from graphlib import TopologicalSorter

from corex_shared.errors import CorexError

PHASES = ("init", "net", "boot")
DEFAULT_PHASE = "boot"
_SHOWN = 12


class OrderError(CorexError, ValueError):
    """Services that cannot be put in order: a name that two have, or that a phase has."""


class CycleError(OrderError):
    """Services that wait for each other.

    Attributes:
        path: keys, each coming after the next; the first is also the last, and of those on the
            path the one that was given first.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        shown = list(self.path)
        if len(shown) > _SHOWN:
            left_out = f"… {len(shown) - _SHOWN} more …"
            shown = [*shown[: _SHOWN // 2], left_out, *shown[-_SHOWN // 2 :]]
        super().__init__(f"services wait for each other: {' → '.join(shown)}")


@dataclass(frozen=True, slots=True)
class Item:
    """A service as far as its order is concerned.

    Attributes:
        key: its name.
        after: names of others, and of phases.
    """

    key: str
    after: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """What it comes after, phases left out, each once."""
        return tuple(dict.fromkeys(name for name in self.after if name not in PHASES))


@dataclass(frozen=True, slots=True)
class Order:
    """How services start.

    Attributes:
        ranks: keys in groups: those of a group may start at once, when those before them run.
        phases: key → the phase that it is in.
        missing: key → names that it comes after and that nobody has.
    """

    ranks: tuple[tuple[str, ...], ...]
    phases: dict[str, str]
    missing: dict[str, tuple[str, ...]]

    def starting(self) -> list[str]:
        """All keys, each after those that it waits for."""
        return [key for rank in self.ranks for key in rank]

    def stopping(self) -> tuple[tuple[str, ...], ...]:
        """Keys in groups: those of a group may stop at once, when those before them are gone."""
        return tuple(tuple(reversed(rank)) for rank in reversed(self.ranks))


def arrange(items: Sequence[Item]) -> Order:
    """Put services in order.

    A service that comes after a missing one has its place all the same; who starts it decides what
    becomes of it.

    Raises:
        CycleError: some wait for each other.
        OrderError: two have one name, or one has the name of a phase.
    """
    _check_names(items)
    known = {item.key: item for item in items}
    others = {item.key: tuple(name for name in item.others if name in known) for item in items}
    missing = {
        item.key: tuple(name for name in item.others if name not in known)
        for item in items
        if not known.keys() >= set(item.others)
    }
    line = _line(others)
    phases = _phases(line, known, others)
    return Order(_ranks(line, phases, others, known), phases, missing)


def _check_names(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.key in PHASES:
            raise OrderError(f"{item.key}: that is the name of a phase")
        if item.key in seen:
            raise OrderError(f"{item.key}: two services have that name")
        seen.add(item.key)


def _line(others: dict[str, tuple[str, ...]]) -> list[str]:
    """All keys, each after those that it names."""
    try:
        return list(TopologicalSorter(others).static_order())
    except _GraphCycleError as error:
        # It tells the path from what is waited for to who waits, the first once more at the end.
        path = error.args[1][:0:-1]
        given = {key: number for number, key in enumerate(others)}
        first = path.index(min(path, key=given.__getitem__))
        raise CycleError([*path[first:], *path[: first + 1]]) from error


def _phases(
    line: list[str], known: dict[str, Item], others: dict[str, tuple[str, ...]]
) -> dict[str, str]:
    numbers: dict[str, int] = {}
    for key in line:
        named = [PHASES.index(name) for name in known[key].after if name in PHASES]
        named += [numbers[name] for name in others[key]]
        numbers[key] = max(named, default=PHASES.index(DEFAULT_PHASE))
    return {key: PHASES[numbers[key]] for key in known}


def _ranks(
    line: list[str],
    phases: dict[str, str],
    others: dict[str, tuple[str, ...]],
    known: dict[str, Item],
) -> tuple[tuple[str, ...], ...]:
    """Number each key: one more than those it waits for; a phase begins after the one before."""
    numbers: dict[str, int] = {}
    first = 0
    for phase in PHASES:
        for key in line:
            if phases[key] == phase:
                behind = (numbers[name] + 1 for name in others[key])
                numbers[key] = max(first, *behind, 0)
        first = max(numbers.values(), default=-1) + 1
    ranks: list[list[str]] = [[] for _ in range(first)]
    for key in known:  # in the order in which they were given
        ranks[numbers[key]].append(key)
    return tuple(map(tuple, ranks))
