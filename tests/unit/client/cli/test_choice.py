"""Which nodes a target means to the commands that look."""

from __future__ import annotations

import pytest

from corex.cli.choice import known_nodes, living_nodes
from corex_shared.errors import ConfigError, NoSuchNodeError
from corex_shared.models import NodeInfo

NODES = [
    NodeInfo("web-1", alive=True, last_seen=1, groups=["build"], labels={"zone": "eu"}),
    NodeInfo("web-2", alive=True, last_seen=1, groups=["build"]),
    NodeInfo("web-3", alive=False, last_seen=1),
]


@pytest.mark.parametrize(
    "target,names",
    [
        (None, ["web-1", "web-2"]),
        ("web-*", ["web-1", "web-2"]),
        ("@build", ["web-1", "web-2"]),
        ("web-2,@build,zone=eu", ["web-2", "web-1"]),
    ],
)
def test_those_that_live(target: str | None, names: list[str]) -> None:
    """Each once; of a group all."""
    assert [node.id for node in living_nodes(target, NODES)] == names


@pytest.mark.parametrize("target", ["web-3", "web-9", "x*", "@none", "zone=us", "web-1,web-3"])
def test_one_that_is_not_there(target: str) -> None:
    with pytest.raises(NoSuchNodeError):
        living_nodes(target, NODES)


def test_none_at_all() -> None:
    with pytest.raises(NoSuchNodeError, match="no node is alive"):
        living_nodes(None, NODES[2:])


@pytest.mark.parametrize(
    "target,names",
    [("web-3", ["web-3"]), ("web-*", ["web-1", "web-2", "web-3"]), ("@build", ["web-1", "web-2"])],
)
def test_those_that_are_known(target: str, names: list[str]) -> None:
    """Also such as are gone, in the order of their IDs."""
    assert [node.id for node in known_nodes(target, NODES)] == names


def test_nonsense() -> None:
    with pytest.raises(ConfigError):
        known_nodes("a,,b", NODES)
