"""The statistics of a node: `aggregator.query`, `monitor`, `core.state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, field

from corex.ask import Question, read_nothing, reader


class StatWindow(Struct, frozen=True):
    """Values of one stretch of time.

    Attributes:
        avg: their mean.
        total: their sum.
        max: the largest.
        count: how many they are.
        start: when the time began, in seconds since the epoch.
    """

    avg: float
    total: float
    max: float
    count: int
    start: int


class StatTag(Struct, frozen=True):
    """What tells a metric from others of its key."""

    key: str
    value: str


class Stat(Struct, frozen=True):
    """One metric.

    Attributes:
        op: `A`: its values are averaged; `D`: it is a counter, of which the difference per second
            counts.
        last_value: the last value.
        last_time: when that came, in seconds since the epoch.
        tags: what tells it from others of its key.
        current: length of a window in seconds → the window that is open.
        history: length of a window in seconds → the windows that were closed last, oldest first.
    """

    op: str
    last_value: float
    last_time: float
    tags: list[StatTag] = field(default_factory=list)
    current: dict[int, StatWindow] = field(default_factory=dict)
    history: dict[int, list[StatWindow]] = field(default_factory=dict)


class Usage(Struct, frozen=True):
    """What a node's agent and all its jobs use together.

    Attributes:
        cpu: percent of one processor.
        rss: bytes in memory.
        vms: bytes of address space.
        swap: bytes that are swapped out.
    """

    cpu: float
    rss: int
    vms: int
    swap: int


StatsByName: TypeAlias = dict[str, Stat]

_stats = reader(StatsByName)
_usage = reader(Usage)


def query_stats(key: str | None, tags: Mapping[str, str] | None) -> Question[StatsByName]:
    """Ask for the figures of metrics, by their names."""
    arguments = {"key": key, "tags": None if tags is None else dict(tags)}
    return Question("aggregator.query", _stats, arguments, control=True)


def monitor(domain: str) -> Question[None]:
    """Have the machine measured."""
    return Question("monitor", read_nothing, {"domain": domain}, control=True)


def node_usage() -> Question[Usage]:
    """Ask what the agent and its jobs use."""
    return Question("core.state", _usage, control=True)
