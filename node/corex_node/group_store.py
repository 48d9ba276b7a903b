"""What an agent says to Redis of the groups that it takes part in: leases, and what the dead left.

Each method is one round trip unless it says otherwise, and harmless to repeat. Commands of a group
are claimed, filed and released by `store`, like the node's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from corex_node.places import Place, group_place
from corex_node.records import Held
from corex_shared.connection import Endpoint, execute_async
from corex_shared.finishing import Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

_SCAN_COUNT = 500


class Left(Struct, frozen=True):
    """A claimed command of a group that somebody has left, or this node has.

    Attributes:
        field: of the group's claimed hash.
        claim: its name, `<node>/<number>`.
        node: whose claim.
        number: of the claim.
    """

    field: str
    claim: str
    node: str
    number: int


class Taking(Struct, frozen=True):
    """A job to be taken over.

    Attributes:
        job_id: whose.
        claim: under which it was held.
        holder: by whom; empty for nobody.
        hand_on: whether its command goes back to its list; else its end is written.
    """

    job_id: str
    claim: str
    holder: str
    hand_on: bool


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

    # -- what the dead left -------------------------------------------------------------------

    async def sweep(self, place: Place) -> list[str] | None:
        """Remove members whose leases are over.

        Returns:
            Those removed; None when this agent's own lease is over.
        """
        call = script("group_sweep").call([place.lease], [place.holder])
        over = (await execute_async(self._client, [call]))[0]
        return None if over is None else [_text(member) for member in over]

    async def look(self, place: Place) -> list[Left]:
        """Find claimed commands whose nodes are no members, and this node's own; in steps."""
        found: list[Left] = []
        cursor = b"0"
        while True:
            arguments: list[Argument] = [self._node, cursor, _SCAN_COUNT]
            call = script("group_look").call([place.claimed, place.lease], arguments)
            cursor, *parts = (await execute_async(self._client, [call]))[0]
            pairs = zip(parts[::2], parts[1::2], strict=True)
            found += [left for pair in pairs if (left := _left(*pair)) is not None]
            if cursor == b"0":
                return found

    async def entries(self, place: Place, fields: Sequence[str]) -> list[bytes | None]:
        """Read fields of the group's claimed hash."""
        answer = (await execute_async(self._client, [("HMGET", place.claimed, *fields)]))[0]
        entries: list[bytes | None] = answer
        return entries

    async def holders(self, job_ids: Sequence[str]) -> list[str]:
        """Read who holds jobs; of one that nobody does, or whose keys are not ours, empty."""
        calls: list[Call] = [("HGET", self._keys.state(job_id), "holder") for job_id in job_ids]
        replies = await execute_async(self._client, calls, keep_refusals=True)
        return [reply.decode() if isinstance(reply, bytes) else "" for reply in replies]

    async def nodes(self, place: Place) -> set[str]:
        """Read which nodes are members, whether their leases are over or not."""
        members = (await execute_async(self._client, [("ZRANGE", place.lease, 0, -1)]))[0]
        return {node_of(_text(member)) for member in members}

    async def take_over(self, takings: Sequence[Taking]) -> list[int]:
        """Take jobs over from a holder that is gone (lua/takeover.lua, which has the answers)."""
        state, result = self._keys.state, self._keys.result
        calls = [
            script("takeover").call(
                [state(job.job_id), result(job.job_id)],
                [self._incarnation, job.claim, job.holder, "1" if job.hand_on else ""],
            )
            for job in takings
        ]
        return [reply[0] for reply in await execute_async(self._client, calls)]

    async def finish(self, node: str, finishes: Sequence[Finish], retention_ms: int) -> list[int]:
        """Write results of jobs that were taken over from a node (lua/finish.lua)."""
        call = finish_call(self._keys, node, self._incarnation, retention_ms, finishes)
        answers: list[int] = (await execute_async(self._client, [call]))[0]
        return answers

    async def tell(self, events: Sequence[bytes]) -> None:
        """Tell the fleet of encoded events."""
        calls: list[Call] = [("PUBLISH", self._keys.events(), event) for event in events]
        await execute_async(self._client, calls)

    async def give_back(self, place: Place, gone: str, held: Sequence[Held]) -> bool:
        """Put commands back at the left of their list, in the order given.

        Args:
            place: the group's.
            gone: node whose commands they were; empty for this one's own.
            held: the commands.

        Returns:
            Whether they were this agent's to give back: the node has not come back.
        """
        keys = [place.commands, place.claimed, place.lease]
        return await self._settle("giveback", keys, place, gone, held)

    async def release(self, place: Place, gone: str, held: Sequence[Held]) -> bool:
        """Forget commands, as `give_back` gives them back."""
        return await self._settle("release", [place.claimed, place.lease], place, gone, held)

    async def _settle(
        self, name: str, keys: list[str], place: Place, gone: str, held: Sequence[Held]
    ) -> bool:
        arguments: list[Argument] = [place.holder, gone]
        for command in held:
            arguments += (command.field, command.claim)
        answer: int = (await execute_async(self._client, [script(name).call(keys, arguments)]))[0]
        return answer >= 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def renewal(place: Place, lease_ms: int, *, quiet: bool) -> Call:
    """Make the call that renews a lease; answered by 1, or 0 when it was lost."""
    return script("group_renew").call([place.lease], [place.holder, lease_ms, int(quiet)])


def node_of(member: str) -> str:
    """Node of a member of a group: `<node>/<incarnation>`, perhaps with a `~` before it."""
    return member.removeprefix("~").rpartition("/")[0]


def _text(member: bytes) -> str:
    return member.decode(errors="backslashreplace")


def _left(field: bytes, header: bytes) -> Left | None:
    """Read what lua/group_look.lua tells of a command; None when no agent wrote that."""
    try:
        name = field.decode()
        claim = header.decode().partition(" ")[2] if header else name[1:]
        node, _, number = claim.rpartition("/")
        return Left(name, claim, node, int(number))
    except ValueError:
        return None
