"""What is wrong with the nodes and their keys. Pure: facts in, findings out."""

from __future__ import annotations

from corex.doctor.facts import FleetFacts, NodeFacts
from corex.doctor.findings import Finding, fine, problem, some, unknown, warning
from corex_shared.models import NodeInfo

CLOCK_WARNING = 1.0
"""Seconds by which a node's clock may differ from the server's."""
JITTER = 1.0
"""Seconds that a beat may be late on a machine that has other things to do."""
FORGOTTEN_MS = 86_400_000
"""Ms after which a node that is gone is taken to be gone for good."""

_NOT_PERMITTED = "unknown: this user may not look at them"


def judge_fleet(facts: FleetFacts) -> list[Finding]:
    """Judge all nodes together, one finding for each thing that may be wrong with some."""
    if not facts.listed:
        return [unknown("nodes", "unknown: this user may not list the nodes")]
    return [
        judge_presence(facts),
        judge_answers(facts),
        judge_leases(facts),
        judge_clocks(facts),
        judge_versions(facts),
        judge_quiet(facts),
        judge_rejected(facts),
        judge_claimed(facts),
        judge_backlog(facts),
        judge_lasting(facts),
    ]


def _alive(facts: FleetFacts) -> list[NodeFacts]:
    return [node for node in facts.nodes if node.info.alive]


def _gone(facts: FleetFacts) -> list[NodeFacts]:
    return [node for node in facts.nodes if not node.info.alive]


def judge_presence(facts: FleetFacts) -> Finding:
    """Judge which nodes are there, and which were not long ago."""
    alive = len(_alive(facts))
    gone = _gone(facts)
    text = f"{alive} alive" if facts.nodes else "none was ever seen in this namespace"
    if lately := [
        node.info.id for node in gone if facts.now_ms - node.info.last_seen < FORGOTTEN_MS
    ]:
        text = f"{text}, gone since less than a day: {some(lately)}"
        return warning("nodes", text, "start them again (corex node run), if they are to be there")
    if not alive:
        return warning("nodes", text, "start one: corex node run")
    return fine("nodes", f"{text}, {len(gone)} gone for longer than a day" if gone else text)


def judge_answers(facts: FleetFacts) -> Finding:
    """Judge whether the nodes that are there answer."""
    asked = [node for node in _alive(facts) if node.answered is not None]
    silent = [node.info.id for node in asked if not node.answered]
    if silent:
        text = f"no answer to a ping from {some(silent)}"
        return problem("answers", text, "see their logs: the agent hangs, or was stopped (SIGSTOP)")
    left = len(_alive(facts)) - len(asked)
    if left and not asked:
        return unknown("answers", "unknown: this user could not ask the nodes")
    return fine("answers", f"{len(asked)} nodes answered" + (f", {left} not asked" if left else ""))


def judge_leases(facts: FleetFacts) -> Finding:
    """Judge whether the nodes that are there renew their leases, each by its own settings."""
    alive = _alive(facts)
    late = [
        f"{node.info.id} ({node.lease_left:.1f} s of {node.info.lease:g} s)"
        for node in alive
        if node.lease_left is not None and node.lease_left < least_left(node.info)
    ]
    if late:
        advice = "see their logs and load, and the way from them to Redis"
        return warning("leases", f"not renewed in time, this is left: {some(late)}", advice)
    if silent := [node.info.id for node in alive if not node.info.lease]:
        return unknown("leases", f"unknown: how long they are is not said by {some(silent)}")
    return fine("leases", "renewed in time")


def least_left(node: NodeInfo) -> float:
    """Say how much of its lease a node has left before its next beat, in seconds.

    A beat may come late by as much again, or by `JITTER` if that is more; by half of what the
    lease has beyond one beat, whatever the settings. 0 for a node that does not say its lease.
    """
    spare = node.lease - node.heartbeat
    return max(0.0, spare - min(max(node.heartbeat, JITTER), spare / 2))


def judge_clocks(facts: FleetFacts) -> Finding:
    """Judge whether the nodes' clocks agree with the server's."""
    off = [
        f"{node.info.id} ({node.clock_ahead:+.1f} s)"
        for node in _alive(facts)
        if abs(node.clock_ahead) >= CLOCK_WARNING
    ]
    if off:
        advice = "set their clocks (NTP): times of results and messages are theirs"
        return warning("node clocks", f"not the server's time: {some(off)}", advice)
    if _alive(facts) and not any(node.answered for node in facts.nodes):
        return unknown("node clocks", "unknown: no node told its time")
    return fine("node clocks", "those that answered have the server's time")


def judge_versions(facts: FleetFacts) -> Finding:
    """Judge whether all nodes have one version."""
    versions: dict[str, list[str]] = {}
    for node in _alive(facts):
        versions.setdefault(node.info.version or "?", []).append(node.info.id)
    text = "; ".join(f"{version}: {some(nodes)}" for version, nodes in sorted(versions.items()))
    if len(versions) > 1:
        return warning("versions", text, "update the older ones")
    return fine("versions", next(iter(versions), "no node is there"))


def judge_quiet(facts: FleetFacts) -> Finding:
    """Judge whether nodes take commands."""
    quiet = [node.info.id for node in _alive(facts) if node.info.quiet]
    if quiet:
        advice = "wait for their end, or start them again, if that is not wanted"
        return warning("quiet", f"take no commands: {some(quiet)}", advice)
    return fine("quiet", "all nodes that are there take commands")


def judge_rejected(facts: FleetFacts) -> Finding:
    """Judge whether somebody pushes what no node can take."""
    if any(node.rejected is None for node in facts.nodes):
        return unknown("rejected", _NOT_PERMITTED)
    some_rejected = [f"{node.info.id} ({node.rejected})" for node in facts.nodes if node.rejected]
    if some_rejected:
        advice = "LRANGE their rejected lists: each entry has its reason and time; DEL when read"
        return warning("rejected", f"payloads that were refused: {some(some_rejected)}", advice)
    return fine("rejected", "none")


def judge_claimed(facts: FleetFacts) -> Finding:
    """Judge whether jobs hang on nodes that are gone."""
    if any(node.claimed is None for node in facts.nodes):
        return unknown("claimed", _NOT_PERMITTED)
    stale = [f"{node.info.id} ({node.claimed})" for node in _gone(facts) if node.claimed]
    if stale:
        text = f"unfinished commands of nodes that are gone: {some(stale)}"
        return warning("claimed", text, "start these nodes again, which settles them")
    return fine("claimed", "none of a node that is gone")


def judge_backlog(facts: FleetFacts) -> Finding:
    """Judge whether commands wait for nodes that are gone."""
    if any(node.queued is None for node in facts.nodes):
        return unknown("backlog", _NOT_PERMITTED)
    stale = [f"{node.info.id} ({node.queued})" for node in _gone(facts) if node.queued]
    if stale:
        text = f"commands that wait for nodes which are gone: {some(stale)}"
        return warning("backlog", text, "start these nodes, or DEL their lists")
    waiting = sum(node.queued or 0 for node in facts.nodes)
    return fine("backlog", f"{waiting} commands wait for nodes that are there")


def judge_lasting(facts: FleetFacts) -> Finding:
    """Judge whether keys stay for ever which should go."""
    if facts.sampled is None:
        return unknown("lifetimes", "unknown: SCAN is not permitted")
    if facts.lasting:
        text = f"{len(facts.lasting)} of {facts.sampled} keys have no TTL: {some(facts.lasting, 3)}"
        return warning("lifetimes", text, "somebody else wrote these; EXPIRE or DEL them")
    return fine("lifetimes", f"{facts.sampled} results, logs, inboxes and leases have their TTL")
