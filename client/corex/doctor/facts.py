"""What is looked at, before it is judged. Times are in seconds unless their names say else."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from corex.doctor.permissions import ASKING, Asking
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
        refused: commands that this user may not call → why: those that every client needs.
        refused_to_withdraw: those that a client needs to withdraw commands that wait.
        refused_to_serve: those that a node needs for what all nodes share, jobs and inboxes.
        refused_of_nodes: those that a node needs besides; None when it cannot be known.
        asking: whether the server can be asked what this user may do.
    """

    pings: list[float]
    info: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] | None = None
    clock_ahead: float | None = None
    clock_error: float = 0.0
    cluster_state: str | None = None
    user: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    refused_to_withdraw: dict[str, str] = field(default_factory=dict)
    refused_to_serve: dict[str, str] = field(default_factory=dict)
    refused_of_nodes: dict[str, str] | None = None
    asking: Asking = Asking.POSSIBLE

    @property
    def may_ask_nodes(self) -> bool:
        """Whether this user may put a question to a node, and hear the answer."""
        return not ASKING & self.refused.keys()


class NodeFacts(Struct, frozen=True):
    """A node.

    Attributes:
        info: what its heartbeat says.
        lease_left: seconds until its lease ends; None without lease.
        queued: commands in its two lists.
        claimed: commands that it has claimed and not finished.
        rejected: payloads that it could not take.
            Each of the three is None when it may not be looked at.
        answered: whether it answered a ping; None when it was not asked.
        clock_ahead: seconds by which its clock is surely ahead of the server's (behind, if
            negative); 0 when they may agree.
    """

    info: NodeInfo
    lease_left: float | None = None
    queued: int | None = 0
    claimed: int | None = 0
    rejected: int | None = 0
    answered: bool | None = None
    clock_ahead: float = 0.0


class FleetFacts(Struct, frozen=True):
    """All nodes of a namespace, and its keys.

    Attributes:
        now_ms: the server's time in ms since the epoch.
        nodes: all that were ever seen.
        listed: whether they may be listed; there are none if not.
        sampled: keys that were looked at for a TTL, or None when that is refused.
        lasting: those without one which should have one.
    """

    now_ms: int
    nodes: list[NodeFacts]
    listed: bool = True
    sampled: int | None = None
    lasting: list[str] = field(default_factory=list)
