"""Which nodes a target names."""

from __future__ import annotations

import pytest

from corex.targets import parse_target, select
from corex_shared.errors import ConfigError, InvalidIdError, NoSuchNodeError
from corex_shared.models import NodeInfo

NODES = [
    NodeInfo("db-1", alive=True, last_seen=1, labels={"zone": "us"}),
    NodeInfo("gone", alive=False, last_seen=1),
    NodeInfo("gone-2", alive=False, last_seen=1, groups=["old"]),
    NodeInfo("web-1", alive=True, last_seen=1, labels={"zone": "eu"}, groups=["build", "x"]),
    NodeInfo("web-2", alive=True, last_seen=1, labels={"zone": "eu", "role": "front"}),
]


@pytest.mark.parametrize(
    "target,nodes",
    [
        ("web-1", ["web-1"]),
        ("web-*", ["web-1", "web-2"]),
        ("web-?", ["web-1", "web-2"]),
        ("web-[2-9]", ["web-2"]),
        ("*", ["db-1", "web-1", "web-2"]),
        ("web-2,db-1", ["web-2", "db-1"]),
        ("web-2, web-*", ["web-2", "web-1"]),
        ("zone=eu", ["web-1", "web-2"]),
        ("role=front,db-1", ["web-2", "db-1"]),
        ("@build", ["@build"]),
        ("web-1,@build,@build,@x", ["web-1", "@build", "@x"]),
    ],
)
def test_targets(target: str, nodes: list[str]) -> None:
    """IDs, globs, labels and lists name what they should, each once, in order; groups as such."""
    assert select(parse_target(target), NODES) == nodes


@pytest.mark.parametrize("target", ["nope", "gone", "x*", "zone=asia", "size=1", "web-1,nope"])
def test_a_part_without_a_node_is_an_error(target: str) -> None:
    """Each part must name a node that is alive: a missing one is never passed over."""
    with pytest.raises(NoSuchNodeError) as caught:
        select(parse_target(target), NODES)
    assert str(caught.value) == f"no such node: {target.rpartition(',')[2]}"


@pytest.mark.parametrize("target", ["@nope", "@old", "web-1,@build,@nope"])
def test_a_group_without_a_node_is_an_error(target: str) -> None:
    """Nobody would take the command."""
    with pytest.raises(NoSuchNodeError, match=r"no node in group: @(nope|old)"):
        select(parse_target(target), NODES)


@pytest.mark.parametrize("target", ["", ",", "a,", "=eu"])
def test_what_names_nothing_is_refused(target: str) -> None:
    """Empty parts and labels without a name are errors of usage."""
    with pytest.raises(ConfigError):
        parse_target(target)


@pytest.mark.parametrize(
    "target", ["a b", "../x", "a/b", "-a", "{node}", "@", "@a b", "@@a", "a,@{x}"]
)
def test_what_cannot_be_an_id_is_refused(target: str) -> None:
    """A part that no node can be called is refused before it reaches a key."""
    with pytest.raises(InvalidIdError):
        parse_target(target)
