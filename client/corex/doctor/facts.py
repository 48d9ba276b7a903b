"""What is looked at, before it is judged. Times are in seconds unless their names say else."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from corex_shared.models import NodeInfo


class ServerFacts(Struct, frozen=True):
    """A server.

    Attributes:
        pings: seconds that each PING took.
        info: INFO, by name; empty when it is refused.
        config: settings, by name; None when CONFIG is refused.
        clock_ahead: seconds by which its clock is ahead of this machine's; None when refused.
        clock_error: seconds by which that may be wrong, in either direction.
        cluster_state: `cluster_state` of CLUSTER INFO; None when it is no Cluster, or refused.
        user: who we are; None when that is refused.
        refused: commands that this user may not call → why: those that a client needs.
        refused_of_nodes: those that a node needs besides; None when it cannot be known.
    """

    pings: list[float]
    info: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] | None = None
    clock_ahead: float | None = None
    clock_error: float = 0.0
    cluster_state: str | None = None
    user: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    refused_of_nodes: dict[str, str] | None = None


class NodeFacts(Struct, frozen=True):
    """A node.

    Attributes:
        info: what its heartbeat says.
        lease_left: seconds until its lease ends; None without lease.
        queued: commands in its two lists.
        claimed: commands that it has claimed and not finished.
        rejected: payloads that it could not take.
        answered: whether it answered a ping; None when it was not asked.
        clock_ahead: seconds by which its clock is surely ahead of the server's (behind, if
            negative); 0 when they may agree.
    """

    info: NodeInfo
    lease_left: float | None = None
    queued: int = 0
    claimed: int = 0
    rejected: int = 0
    answered: bool | None = None
    clock_ahead: float = 0.0


class FleetFacts(Struct, frozen=True):
    """All nodes of a namespace, and its keys.

    Attributes:
        now_ms: the server's time in ms since the epoch.
        nodes: all that were ever seen.
        sampled: keys that were looked at for a TTL, or None when that is refused.
        lasting: those without one which should have one.
    """

    now_ms: int
    nodes: list[NodeFacts]
    sampled: int | None = None
    lasting: list[str] = field(default_factory=list)
