"""Everything that a reaper says to Redis. Each method is one round trip, and harmless to repeat.

All that is written to a node's keys is written by scripts that see that the node is away.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from corex_node.ticket import Source
from corex_shared.connection import Endpoint, execute_async
from corex_shared.errors import StoreRefusedError
from corex_shared.finishing import Finish, finish_call
from corex_shared.identifiers import is_valid_id
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, script

_STEP_CLAIMED = 100
"""Claimed commands that are read at once, about."""
_STEP_LIST = 500
"""Commands of a list that are looked at at once."""
_STEP_BYTES = 1024 * 1024
"""Bytes after which a step reads no more."""


class Silent(NamedTuple):
    """A look at the list of nodes: when it was, the span's end, node → when it was seen last."""

    now: float
    till: bytes
    nodes: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Begun:
    """A node's jobs are this reaper's to settle.

    Attributes:
        now: the server's time in ms.
        sizes: of what is claimed and of each list.
    """

    now: float
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """The node is there: its lease lasts so many ms more."""

    now: float
    lease: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Another reaper settles the node's jobs, or has: its note stands for so many ms more."""

    now: float
    stands: float


class Part(NamedTuple):
    """Some of what a node has claimed: the server's time, where to go on, field → value."""

    now: float
    cursor: bytes
    entries: dict[bytes, bytes]


class Stretch(NamedTuple):
    """A part of a list: the time, where to go on, whether it ends there, index → payload."""

    now: float
    next: int
    ended: bool
    found: dict[int, bytes]


_TOLD_MS = 8 * 24 * 3_600_000
"""For how long it is remembered that a node's absence was told: longer than it is listed, in ms."""


class ReaperStore:
    """The keys of nodes that are away, by a connection of its own: no result waits for it."""

    def __init__(self, endpoint: Endpoint, keys: Keys, incarnation: str) -> None:
        """Make the client; nothing is sent yet."""
        self._client = endpoint.async_command()
        self._keys = keys
        self._incarnation = incarnation
        # No payload is like it: it begins neither JSON nor a MessagePack map.
        self._gap = f"reaped {secrets.token_hex(16)}"

    async def silent(self, since: bytes, age: float) -> Silent:
        """List the nodes that fell silent since, at least `age` ms ago.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        call = script("reap_look").call([self._keys.nodes()], [since, int(age)])
        now, till, pairs = (await execute_async(self._client, [call]))[0]
        names = [name.decode("utf-8", "replace") for name in pairs[::2]]
        scores = zip(names, pairs[1::2], strict=True)
        return Silent(now, till, {name: seen for name, seen in scores if is_valid_id(name)})

    async def begin(self, node: str, seen: bytes, stands: float) -> Begun | Present | Taken | None:
        """Note that this reaper settles a node's jobs, for so many ms, or has settled them.

        Returns:
            None when the node was seen since, or is listed no more.
        """
        keys, note = self._keys, self._note(seen)
        names = [
            keys.reaper(node),
            keys.presence(node),
            keys.claimed(node),
            keys.commands(node),
            keys.control(node),
        ]
        calls: list[Call] = [
            ("ZSCORE", keys.nodes(), node),
            script("reap_note").call(names, [note, int(stands)]),
        ]
        score, (answer, now, *more) = await execute_async(self._client, calls)
        if score != float(seen):
            return None
        if answer < 0:
            return Present(now, more[0])
        return Begun(now, tuple(more)) if answer else Taken(now, more[0])

    async def claimed(self, node: str, seen: bytes, stands: float, cursor: bytes) -> Part | None:
        """Read some of what a node has claimed and what may be settled.

        Returns:
            None when the node is there again, or another reaper is at work.
        """
        keys = self._keys
        call = script("reap_claimed").call(
            [keys.claimed(node), keys.presence(node), keys.reaper(node)],
            [self._note(seen), int(stands), cursor, _STEP_CLAIMED, _STEP_BYTES],
        )
        answer = (await execute_async(self._client, [call]))[0]
        if answer == -1:
            return None
        now, cursor, pairs = answer
        return Part(now, cursor, dict(zip(pairs[::2], pairs[1::2], strict=True)))

    async def listed(
        self, node: str, source: Source, seen: bytes, stands: float, at: int
    ) -> Stretch | None:
        """Look through a part of a list, for commands that may expire.

        Returns:
            None when the node is there again, or another reaper is at work.
        """
        keys = self._keys
        call = script("reap_list").call(
            [self._list(node, source), keys.presence(node), keys.reaper(node)],
            [self._note(seen), int(stands), at, _STEP_LIST, _STEP_BYTES],
        )
        answer = (await execute_async(self._client, [call]))[0]
        if answer == -1:
            return None
        now, further, ended, pairs = answer
        found = dict(zip(pairs[::2], pairs[1::2], strict=True))
        return Stretch(now, further, bool(ended), found)

    async def move(
        self, node: str, source: Source, found: dict[int, bytes]
    ) -> dict[int, bytes] | None:
        """Move expired commands (by their index) from a list to what is claimed.

        Returns:
            Number of the claim → payload, of those that were moved; None when the node is there
            again.

        Raises:
            StoreUnavailableError: some may have been moved; `claimed` finds them.
        """
        keys = self._keys
        arguments: list[Argument] = [source.value, self._gap]
        for at, payload in found.items():
            arguments += (at, payload)
        names = [self._list(node, source), keys.claimed(node), keys.presence(node)]
        call = script("reap_move").call(names, arguments)
        answer = (await execute_async(self._client, [call]))[0]
        if answer == -1:
            return None
        numbers = zip(map(int, answer), found.values(), strict=True)
        return {number: payload for number, payload in numbers if number}

    async def finish(self, node: str, finishes: Sequence[Finish], retention_ms: int) -> list[int]:
        """Write results of a node's jobs.

        Returns:
            For each what became of it, see `corex_shared.finishing`.
        """
        call = finish_call(self._keys, node, self._incarnation, retention_ms, finishes)
        answers: list[int] = (await execute_async(self._client, [call]))[0]
        return answers

    async def conclude(
        self, node: str, claims: Sequence[tuple[str, str]], events: Sequence[bytes]
    ) -> bool:
        """Forget commands, (field, claim) each, whose results are written; publish events.

        Returns:
            Whether the node is still away; else they are its own to forget.
        """
        keys = self._keys
        calls: list[Call] = [("PUBLISH", keys.events(), event) for event in events]
        flat = [part for claim in claims for part in claim]
        calls.append(script("reap_remove").call([keys.claimed(node), keys.presence(node)], flat))
        replies = await execute_async(self._client, calls, keep_refusals=True)
        if isinstance(replies[-1], StoreRefusedError):
            raise replies[-1]
        return bool(replies[-1] >= 0)

    async def tell_lapsed(self, node: str, seen: bytes, event: bytes) -> None:
        """Publish that a node's lease has run out, unless it is there or others have told."""
        keys = self._keys
        call = script("reap_tell").call(
            [keys.lapsed(node), keys.presence(node)], [seen, _TOLD_MS, keys.events(), event]
        )
        await execute_async(self._client, [call])

    async def forget(self, node: str, seen: bytes) -> None:
        """Take a node off the list of all nodes, unless it was seen since."""
        call = script("reap_forget").call([self._keys.nodes()], [node, seen])
        await execute_async(self._client, [call])

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    def _list(self, node: str, source: Source) -> str:
        keys = self._keys
        return keys.commands(node) if source is Source.COMMANDS else keys.control(node)

    def _note(self, seen: bytes) -> bytes:
        return b"%b %b" % (seen, self._incarnation.encode())
