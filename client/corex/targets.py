"""Which nodes a target names.

A target is one or more of these, with commas between them: a node ID, a glob over node IDs
(`web-*`), a label and its value (`zone=eu`), a group (`@build`: any one of its nodes). Each must
name at least one node that is alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from corex.nodes import nodes_of_group
from corex_shared.errors import ConfigError, NoSuchNodeError
from corex_shared.identifiers import check_id
from corex_shared.models import NodeInfo

_GLOB = frozenset("*?[")
_GROUP = "@"


def group_target(group: str) -> str:
    """Write a group as a target.

    Raises:
        InvalidIdError: no group can have that name.
    """
    return _GROUP + check_id("group", group)


def group_of(target: str) -> str | None:
    """Read a target as a group; None when it is none.

    Raises:
        InvalidIdError: no group can have that name.
    """
    if not target.startswith(_GROUP):
        return None
    return check_id("group", target.removeprefix(_GROUP))


def parse_target(text: str) -> list[str]:
    """Split a target into its parts.

    Raises:
        ConfigError: a part is empty, or of a kind that is not served.
        InvalidIdError: a part is nothing that a node or a group could be called.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part:
            raise ConfigError("TARGET", "", f"{text!r} names no node")
        if group_of(part) is not None:
            continue
        label, equals, _ = part.partition("=")
        if equals and not label:
            raise ConfigError("TARGET", "", f"{part!r}: the label's name is missing")
        if not equals and not _GLOB.intersection(part):
            check_id("node", part)
    return parts


def select(parts: Sequence[str], nodes: Sequence[NodeInfo]) -> list[str]:
    """Choose what a target names, in the order of its parts, each once: nodes, and groups as such.

    Args:
        parts: the target's parts.
        nodes: all nodes, by ID.

    Returns:
        IDs of nodes, and groups with their `@`: `corex.submit.prepare` takes both.

    Raises:
        NoSuchNodeError: a part names no node that is alive.
    """
    alive = [node for node in nodes if node.alive]
    chosen: dict[str, None] = {}
    for part in parts:
        group = group_of(part)
        if group is not None:
            if not nodes_of_group(alive, group):
                raise NoSuchNodeError(f"no node in group: {part}")
            chosen[part] = None
            continue
        matched = [node.id for node in alive if _matches(part, node)]
        if not matched:
            raise NoSuchNodeError(f"no such node: {part}")
        chosen.update(dict.fromkeys(matched))
    return list(chosen)


def _matches(part: str, node: NodeInfo) -> bool:
    label, equals, value = part.partition("=")
    if equals:
        return node.labels.get(label) == value
    return fnmatchcase(node.id, part)
