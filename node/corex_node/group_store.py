"""What an agent says to Redis of the groups that it takes part in: leases, and what the dead left.

Each method is one round trip unless it says otherwise, and harmless to repeat. Commands of a group
are claimed, filed and released by `store`, like the node's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from corex_node.places import Place, group_place
from corex_shared.connection import Endpoint, execute_async
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script


class GroupStore:
    """The Redis side of a node's membership in groups."""

    def __init__(self, endpoint: Endpoint, keys: Keys, node: str, incarnation: str) -> None:
        """Make the client; nothing is sent yet."""
        self._client = endpoint.async_command()
        self._keys = keys
        self._node = node
        self._incarnation = incarnation

    def place(self, group: str) -> Place:
        """Describe the list of a group."""
        return group_place(self._keys, self._node, self._incarnation, group)

    # -- the lease ----------------------------------------------------------------------------

    async def join(self, place: Place, lease_ms: int) -> None:
        """Take the lease of a member, in place of the node's earlier incarnations.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        arguments: list[Argument] = [place.holder, self._node, lease_ms]
        await execute_async(self._client, [script("group_join").call([place.lease], arguments)])

    async def go_quiet(self, places: Sequence[Place], lease_ms: int) -> None:
        """Have every later claim refused, those that are on their way included."""
        calls = [renewal(place, lease_ms, quiet=True) for place in places]
        await execute_async(self._client, calls)

    async def leave(self, places: Sequence[Place]) -> None:
        """Give the leases back: what is still claimed there is others'."""
        calls: list[Call] = [
            ("ZREM", place.lease, place.holder, f"~{place.holder}") for place in places
        ]
        await execute_async(self._client, calls)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def renewal(place: Place, lease_ms: int, *, quiet: bool) -> Call:
    """Make the call that renews a lease; answered by 1, or 0 when it was lost."""
    return script("group_renew").call([place.lease], [place.holder, lease_ms, int(quiet)])
