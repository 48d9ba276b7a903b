"""What nodes say of themselves."""

from __future__ import annotations

import pytest

from corex.nodes import list_nodes, read_node, read_presence
from corex_shared.errors import NoSuchNodeError
from tests.unit.client.playing import make_core, play

PRESENCE = {
    b"incarnation": b"x1",
    b"version": b"0.1.0",
    b"host": b"h",
    b"boot": b"b",
    b"pid": b"12",
    b"pid_start": b"99",
    b"started": b"1000",
    b"groups": b'["build"]',
    b"labels": b'{"zone":"eu"}',
    b"load": b"0.5",
    b"slots": b"200",
    b"running": b"3",
    b"queued": b"4",
    b"quiet": b"1",
    b"lease_ms": b"15000",
    b"heartbeat_ms": b"500",
}


def test_a_heartbeat_is_read() -> None:
    """Every field of a presence hash finds its place."""
    node = read_presence("n1", 7, PRESENCE)
    assert (node.id, node.alive, node.last_seen) == ("n1", True, 7)
    assert (node.incarnation, node.version, node.host) == ("x1", "0.1.0", "h")
    assert (node.pid, node.started, node.load) == (12, 1000, 0.5)
    assert (node.groups, node.labels) == (["build"], {"zone": "eu"})
    assert (node.slots, node.running, node.queued, node.quiet) == (200, 3, 4, True)
    assert (node.lease, node.heartbeat) == (15.0, 0.5)


def test_without_a_heartbeat_a_node_is_not_alive() -> None:
    """A node whose presence has run out is known by its last sign only."""
    node = read_presence("n1", 7, {})
    assert (node.alive, node.last_seen, node.version) == (False, 7, "")


def test_an_odd_heartbeat_hides_nothing() -> None:
    """Fields that make no sense count as absent."""
    node = read_presence("n1", 7, {b"pid": b"x", b"groups": b"{", b"labels": b"[1]", b"load": b""})
    assert (node.alive, node.pid, node.groups, node.labels, node.load) == (True, 0, [], {}, 0.0)


@pytest.mark.parametrize(
    "members", [[b"n2", b"2", b"n1", b"1"], [(b"n2", 2.0), (b"n1", 1.0)]], ids=["flat", "pairs"]
)
def test_nodes_are_listed_by_id(members: list[object]) -> None:
    """All nodes that were ever seen, the living and the others."""
    played = play(list_nodes(make_core()), [members], [PRESENCE, {}])
    assert [(node.id, node.alive, node.last_seen) for node in played.value] == [
        ("n1", True, 1),
        ("n2", False, 2),
    ]
    assert played.effects[1].calls[0] == ("HGETALL", "corex:{node:n1}:presence")


def test_no_nodes() -> None:
    """An empty fleet is an empty list."""
    assert play(list_nodes(make_core()), [[]]).value == []


def test_one_node() -> None:
    """A node that was seen is described; one that never was is an error."""
    assert play(read_node(make_core(), "n1"), [b"5", PRESENCE]).value.alive
    with pytest.raises(NoSuchNodeError, match="no such node: n1"):
        play(read_node(make_core(), "n1"), [None, {}])
