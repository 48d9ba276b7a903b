"""Where commands wait and where they are once they are claimed: of a node, or of a group. Pure.

A group's hash is one of the same kind as a node's; only that several nodes share it. So each of
its entries tells whose it is: an unfiled one by its field, a filed one by its claim.
"""

from __future__ import annotations

from dataclasses import dataclass

from corex_node.ticket import Source, claimed_field
from corex_shared.keys import Keys


@dataclass(frozen=True, slots=True)
class Place:
    """A list of commands, and the hash beside it; their keys are in one slot of a Cluster.

    Attributes:
        source: kind of the list.
        group: whose list it is; empty for the node's own.
        owner: what stands before the number in the field of an unfiled command.
        commands: key of the list.
        claimed: key of the hash.
        lease: key that tells who may take from the one and write to the other.
        holder: what stands there for this agent.
    """

    source: Source
    group: str
    owner: str
    commands: str
    claimed: str
    lease: str
    holder: str

    @property
    def name(self) -> str:
        """For the log."""
        return f"@{self.group}" if self.group else self.source.name

    @property
    def prefix(self) -> str:
        """Of the fields of unfiled commands."""
        return claimed_field(self.source, "", self.owner)

    def field(self, number: int) -> str:
        """Field of a command that was just claimed."""
        return f"{self.prefix}{number}"


def own_place(keys: Keys, node: str, incarnation: str, source: Source) -> Place:
    """Describe a list of a node itself."""
    commands = keys.commands(node) if source is Source.COMMANDS else keys.control(node)
    return Place(source, "", "", commands, keys.claimed(node), keys.presence(node), incarnation)


def group_place(keys: Keys, node: str, incarnation: str, group: str) -> Place:
    """Describe the list of a group, as one of its nodes takes from it."""
    return Place(
        Source.COMMANDS,
        group,
        f"{node}/",
        keys.group_commands(group),
        keys.group_claimed(group),
        keys.group_leases(group),
        f"{node}/{incarnation}",
    )
