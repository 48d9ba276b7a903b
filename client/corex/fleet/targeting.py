"""Which nodes a run is for.

All nodes count that are known and match, also those that are away: nobody is left out uncounted.
Labels and groups are told by the heartbeat only, so they name nodes that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from corex.core import Core
from corex.effects import Plan
from corex.nodes import list_nodes, nodes_of_group, read_nodes
from corex.targets import group_of, parse_target
from corex_shared.errors import ConfigError, NoSuchNodeError
from corex_shared.identifiers import check_id, is_valid_id
from corex_shared.models import NodeInfo

EVERYBODY = "*"


class Chosen(NamedTuple):
    """One target of a run.

    Attributes:
        name: a node's ID, or `@` and a group, any one node of which is meant.
        alive: whether it is there.
        last_seen: when it was last seen, in ms since the epoch.
    """

    name: str
    alive: bool
    last_seen: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for.

    Attributes:
        parts: node IDs, globs, `label=value`, `@group`.
        labels: that each node must have.
        groups: of which each node must be in one.
    """

    parts: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Sequence[str] = ()

    def fits(self, node: NodeInfo) -> bool:
        """Tell whether a node has the labels and is in one of the groups."""
        if any(node.labels.get(label) != value for label, value in self.labels.items()):
            return False
        return not self.groups or not set(self.groups).isdisjoint(node.groups)

    @property
    def narrowed(self) -> bool:
        """Whether labels or groups are asked for."""
        return bool(self.labels or self.groups)


def make_selection(
    targets: Iterable[str],
    labels: Mapping[str, str] | None = None,
    groups: str | Iterable[str] = (),
) -> Selection:
    """Read what is asked for; with labels or groups only, all nodes that have them.

    Raises:
        ConfigError: it names nothing, or what makes no sense together.
        InvalidIdError: a part is nothing that a node or a group could be called.
    """
    parts = [part for target in targets for part in parse_target(_text(target))]
    wanted = dict(labels or {})
    for label, value in wanted.items():
        if not all(isinstance(text, str) for text in (label, value)):
            raise ConfigError("fleet", "labels", f"{label!r}: names and values are strings")
    names = [groups] if isinstance(groups, str) else list(groups)
    for name in names:
        check_id("group", name)
    if not parts:
        if not wanted and not names:
            raise ConfigError("fleet", "", "no target is given; '*' is all nodes")
        parts = [EVERYBODY]
    elif (wanted or names) and any(group_of(part) is not None for part in parts):
        why = "@GROUP is any one node of a group, which labels and groups cannot narrow"
        raise ConfigError("fleet", "", why)
    return Selection(tuple(parts), wanted, tuple(names))


def _text(target: Any) -> str:
    if not isinstance(target, str):
        raise ConfigError("fleet", "", f"a target is a string, not {target!r}")
    return target


def choose(core: Core, selection: Selection) -> Plan[list[Chosen]]:
    """Find the nodes of a run, in the order of its parts, each once.

    Raises:
        NoSuchNodeError: a part names nothing, or a node that was never seen.
        StoreError: Redis cannot be reached.
    """
    parts = selection.parts
    if all(is_valid_id(part) for part in parts) and not selection.narrowed:
        nodes = yield from read_nodes(core, list(dict.fromkeys(parts)))
    else:
        nodes = yield from list_nodes(core)
    return select(selection, nodes)


def select(selection: Selection, nodes: Sequence[NodeInfo]) -> list[Chosen]:
    """Choose, of all nodes, those that a selection names.

    Raises:
        NoSuchNodeError: a part names nothing, or a node that was never seen; or none of those
            that are named have the labels and groups.
    """
    chosen: dict[str, Chosen] = {}
    for part in selection.parts:
        group = group_of(part)
        if group is not None:
            if not nodes_of_group(nodes, group):
                raise NoSuchNodeError(f"no node in group: {part}")
            chosen[part] = Chosen(part, True, None)
            continue
        matched = [node for node in nodes if _matches(part, node)]
        if not matched:
            raise NoSuchNodeError(f"no such node: {part}")
        for node in matched:
            if selection.fits(node):
                chosen[node.id] = Chosen(node.id, node.alive, node.last_seen or None)
    if not chosen:
        raise NoSuchNodeError("no node of those has the labels and groups that are asked for")
    return list(chosen.values())


def _matches(part: str, node: NodeInfo) -> bool:
    label, equals, value = part.partition("=")
    if equals:
        return node.labels.get(label) == value
    return fnmatchcase(node.id, part)
