"""Which nodes a target names.

A target is one or more of these, with commas between them: a node ID, a glob over node IDs
(`web-*`), a label and its value (`zone=eu`). Each must name at least one node that is alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from corex_shared.errors import ConfigError, NoSuchNodeError
from corex_shared.identifiers import check_id
from corex_shared.models import NodeInfo

_GLOB = frozenset("*?[")


def parse_target(text: str) -> list[str]:
    """Split a target into its parts.

    Raises:
        ConfigError: a part is empty, or of a kind that is not served.
        InvalidIdError: a part is nothing that a node could be called.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part:
            raise ConfigError("TARGET", "", f"{text!r} names no node")
        if part.startswith("@"):
            raise ConfigError("TARGET", "", f"{part}: groups are not served in this version")
        label, equals, _ = part.partition("=")
        if equals and not label:
            raise ConfigError("TARGET", "", f"{part!r}: the label's name is missing")
        if not equals and not _GLOB.intersection(part):
            check_id("node", part)
    return parts


def select(parts: Sequence[str], nodes: Sequence[NodeInfo]) -> list[str]:
    """Choose the nodes that a target names, in the order of its parts, each node once.

    Args:
        parts: the target's parts.
        nodes: all nodes, by ID.

    Raises:
        NoSuchNodeError: a part names no node that is alive.
    """
    alive = [node for node in nodes if node.alive]
    chosen: dict[str, None] = {}
    for part in parts:
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
