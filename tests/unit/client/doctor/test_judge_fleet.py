"""Judging nodes, by table."""

from __future__ import annotations

from typing import Any

import pytest

from corex.doctor.examine import clock_off
from corex.doctor.facts import FleetFacts, NodeFacts
from corex.doctor.findings import Finding
from corex.doctor.judge_fleet import judge_fleet
from corex_shared.models import NodeInfo

NOW = 1_700_000_000_000


def _alive(node: str, version: str = "1.0", *, quiet: bool = False, **facts: Any) -> NodeFacts:
    info = NodeInfo(
        id=node,
        alive=True,
        last_seen=NOW,
        version=version,
        quiet=quiet,
        lease=facts.pop("lease", 15.0),
        heartbeat=facts.pop("heartbeat", 5.0),
    )
    return NodeFacts(info, **{"lease_left": 12.0, "answered": True, **facts})


def _unasked(node: str) -> NodeFacts:
    return _alive(node, answered=None)


def _gone(node: str, ago: float = 60.0, **facts: Any) -> NodeFacts:
    info = NodeInfo(id=node, alive=False, last_seen=NOW - int(ago * 1000))
    return NodeFacts(info, **facts)


def _judge(*nodes: NodeFacts, **facts: Any) -> dict[str, Finding]:
    found = judge_fleet(FleetFacts(NOW, list(nodes), **{"sampled": 5, **facts}))
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


def test_good_nodes_have_nothing_to_change() -> None:
    """Everything is ok, and no advice is given; old nodes are no news."""
    found = _judge(_alive("a", queued=7, claimed=3), _alive("b"), _gone("c", 1e6))
    for finding in found.values():
        assert (finding.verdict, finding.advice) == ("ok", ""), finding
    assert found["backlog"].text.startswith("7 commands")


@pytest.mark.parametrize(
    "check,verdict,text,nodes",
    [
        ("nodes", "warning", "none was ever seen", []),
        ("nodes", "warning", "gone since less than a day: b", [_alive("a"), _gone("b")]),
        ("nodes", "warning", "0 alive", [_gone("b", 1e6)]),
        (
            "answers",
            "problem",
            "no answer to a ping from b",
            [_alive("a"), _alive("b", answered=False)],
        ),
        ("answers", "unknown", "could not ask", [_alive("a", answered=None)]),
        (
            "answers",
            "ok",
            "1 nodes answered, 1 not asked",
            [_alive("a"), _alive("b", answered=None)],
        ),
        ("leases", "warning", "a (1.5 s of 15 s)", [_alive("a", lease_left=1.5)]),
        ("leases", "unknown", "not said by a", [_alive("a", lease=0.0, heartbeat=0.0)]),
        ("node clocks", "warning", "a (-7.0 s)", [_alive("a", clock_ahead=-7.0)]),
        ("node clocks", "unknown", "no node told", [_alive("a", answered=False)]),
        ("versions", "warning", "1.0: a; 1.1: b", [_alive("a"), _alive("b", "1.1")]),
        ("quiet", "warning", "take no commands: a", [_alive("a", quiet=True)]),
        ("rejected", "warning", "a (3)", [_alive("a", rejected=3)]),
        ("rejected", "warning", "a (3)", [_gone("a", rejected=3)]),
        ("claimed", "warning", "a (2)", [_gone("a", 1e6, claimed=2)]),
        ("backlog", "warning", "a (4)", [_gone("a", queued=4)]),
        ("rejected", "unknown", "may not look", [_alive("a", rejected=None)]),
        ("claimed", "unknown", "may not look", [_alive("a", claimed=None)]),
        ("backlog", "unknown", "may not look", [_alive("a", queued=None)]),
    ],
)
def test_what_is_wrong_is_found(
    check: str, verdict: str, text: str, nodes: list[NodeFacts]
) -> None:
    """Each of these is found and the nodes are named; what is not ok has advice."""
    finding = _judge(*nodes)[check]
    assert finding.verdict == verdict
    assert text in finding.text
    assert bool(finding.advice) == (verdict in ("warning", "problem"))


@pytest.mark.parametrize(
    "lease,heartbeat,fine,late",
    [
        (15.0, 5.0, 9.5, 4.5),
        (1.5, 0.3, 1.0, 0.5),
        (1.0, 0.5, 0.4, 0.2),
        (60.0, 5.0, 54.0, 40.0),
        (600.0, 300.0, 290.0, 140.0),
    ],
)
def test_a_lease_is_judged_by_the_settings_of_its_node(
    lease: float, heartbeat: float, fine: float, late: float
) -> None:
    """A node that missed a beat is late; one whose beat is due is not, however little is left."""
    told: dict[str, Any] = {"lease": lease, "heartbeat": heartbeat}
    assert _judge(_alive("a", lease_left=fine, **told))["leases"].verdict == "ok"
    found = _judge(_alive("a", lease_left=late, **told), _alive("b"))["leases"]
    assert (found.verdict, f"a ({late:.1f} s of {lease:g} s)" in found.text) == ("warning", True)


def test_nodes_that_may_not_be_listed() -> None:
    """Nothing is said of them then."""
    (finding,) = judge_fleet(FleetFacts(NOW, [], listed=False))
    assert (finding.check, finding.verdict) == ("nodes", "unknown")


def test_many_nodes_are_not_all_named() -> None:
    """A line stays a line."""
    finding = _judge(*(_alive(f"n{number}", answered=False) for number in range(200)))["answers"]
    assert "n0, n1, n2, n3, n4 and 195 more" in finding.text


def test_keys_that_stay_for_ever() -> None:
    """Keys without a TTL are named; where SCAN is refused nothing is said."""
    assert _judge(_alive("a"), lasting=["k1", "k2"])["lifetimes"].verdict == "warning"
    assert _judge(_alive("a"), sampled=None)["lifetimes"].verdict == "unknown"


@pytest.mark.parametrize(
    "began,ahead",
    [(1000, 0.0), (1500, 0.0), (2000, 0.0), (5000, 3.0), (400, -0.6), (0, 0.0)],
)
def test_clocks_are_off_only_for_certain(began: int, ahead: float) -> None:
    """What lies between the asking and the answer may be right."""
    assert clock_off(1000.0, began, 2000.0) == ahead
    assert clock_off(None, began, 2000.0) == 0.0
