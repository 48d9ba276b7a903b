"""Which nodes a command of the command line is about."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from corex.nodes import nodes_of_group
from corex.targets import group_of, parse_target, select
from corex_shared.errors import NoSuchNodeError
from corex_shared.models import NodeInfo


def living_nodes(target: str | None, nodes: Sequence[NodeInfo]) -> list[NodeInfo]:
    """Choose the nodes to look at: all members of a group, not any one.

    Args:
        target: which; None for all.
        nodes: all nodes.

    Raises:
        NoSuchNodeError: a part of the target names no node that is alive; or there is none at all.
        ConfigError: the target makes no sense.
    """
    alive = [node for node in nodes if node.alive]
    if target is None:
        if not alive:
            raise NoSuchNodeError("no node is alive")
        return alive
    chosen: dict[str, None] = {}
    for part in parse_target(target):
        for name in select([part], alive):
            group = group_of(name)
            members = [node.id for node in nodes_of_group(alive, group)] if group else [name]
            chosen.update(dict.fromkeys(members))
    by_id = {node.id: node for node in alive}
    return [by_id[name] for name in chosen]


def known_nodes(target: str, nodes: Sequence[NodeInfo]) -> list[NodeInfo]:
    """Choose among all nodes that were ever seen; of those that are gone only the ID is known.

    Raises:
        NoSuchNodeError: a part of the target names none.
        ConfigError: the target makes no sense.
    """
    wanted: set[str] = set()
    for part in parse_target(target):
        found = {node.id for node in nodes if _is_meant(part, node)}
        if not found:
            raise NoSuchNodeError(f"no such node: {part}")
        wanted |= found
    return [node for node in nodes if node.id in wanted]


def _is_meant(part: str, node: NodeInfo) -> bool:
    group = group_of(part)
    if group is not None:
        return group in node.groups
    label, equals, value = part.partition("=")
    if equals:
        return node.labels.get(label) == value
    return fnmatchcase(node.id, part)
