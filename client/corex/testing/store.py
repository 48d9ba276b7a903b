"""What nodes in memory write to their Redis: the same keys, by the same scripts, as real nodes."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corex_shared.connection import Endpoint, execute
from corex_shared.finishing import Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, Step, script
from corex_shared.states import Stage
from corex_shared.version import __version__

if TYPE_CHECKING:
    from corex.testing.node import MemoryNode

RETENTION_MS = 300_000
"""How long results are kept, as by a real node that is not told otherwise."""
_LOG_TTL_MS = 24 * 3_600_000
_PRESENCE_TTL_MS = 24 * 3_600_000
"""Long, so that tests that shift the clock do not lose their nodes."""
_REJECTED_TTL_MS = 7 * 24 * 3_600_000
_REJECTED_KEPT = 1000
_BLOCK = 1.0
"""Longest single wait on the server, in seconds."""

ACCEPTED = 1


class Store:
    """All that nodes ask of their Redis. May be used in any thread."""

    def __init__(self, url: str, keys: Keys) -> None:
        """Prepare clients of a server; nothing is sent."""
        endpoint = Endpoint(url)
        self.keys = keys
        self._command = endpoint.command()
        self._blocking = endpoint.blocking(_BLOCK)

    def run(self, steps: Sequence[Step]) -> list[Any]:
        """Run commands in one round trip.

        Raises:
            StoreError: the server refuses one, or the fleet was closed.
        """
        return execute(self._command, steps)

    def take(self, keys: Sequence[str], seconds: float) -> tuple[str, list[bytes]] | None:
        """Wait for what is in the first of some lists that is not empty, and take one of it.

        Returns:
            The key and what was taken; None when there is nothing.
        """
        wait = f"{max(0.01, min(_BLOCK, seconds)):.3f}"
        (found,) = execute(self._blocking, [("BLPOP", *keys, wait)])
        return None if found is None else (found[0].decode(), [found[1]])

    def take_more(self, key: str, most: int) -> list[bytes]:
        """Take what is in a list."""
        if most <= 0:
            return []
        (more,) = self.run([("LPOP", key, most)])
        return more or []

    def accept(
        self, node: MemoryNode, jobs: Sequence[tuple[str, str, Stage]], *, fresh: bool = True
    ) -> list[bool]:
        """Take IDs for commands.

        Args:
            node: whose commands they are.
            jobs: job ID, claim and stage of each.
            fresh: this incarnation has taken them itself; else an earlier one has.

        Returns:
            For each whether it was free.
        """
        keys: list[str] = []
        arguments: list[Argument] = [node.incarnation, node.id]
        for job, claim, stage in jobs:
            keys += (self.keys.state(job), self.keys.result(job))
            arguments += (claim, stage.value, 1 if fresh else "")
        (answers,) = self.run([script("accept").call(keys, arguments)])
        return [answer == ACCEPTED for answer in answers]

    def claimed(self, node: MemoryNode, fields: Sequence[tuple[str, str, Stage, bytes]]) -> Call:
        """Make the command that files commands as claimed: job ID, claim, stage, payload."""
        pairs: list[Argument] = []
        for job, claim, stage, payload in fields:
            pairs += (job, f"{stage.value} {claim}\n".encode() + payload)
        return ("HSET", self.keys.claimed(node.id), *pairs)

    def mark(self, node: MemoryNode, job: str, stage: Stage) -> Call:
        """Make the command that writes a job's stage where clients look."""
        arguments: list[Argument] = [node.incarnation, stage.value, "", ""]
        return script("mark").call([self.keys.state(job)], arguments)

    def emit(self, node: MemoryNode, job: str, messages: Sequence[tuple[int, bytes]]) -> Call:
        """Make the command that writes messages of a job to its log, and publishes them."""
        arguments: list[Argument] = [self.keys.stream(job), "0-0", _LOG_TTL_MS, node.incarnation]
        for seq, payload in messages:
            arguments += (seq, payload)
        return script("emit").call([self.keys.log(job), self.keys.state(job)], arguments)

    def finish(self, node: MemoryNode, ends: Sequence[Finish]) -> None:
        """Write the ends of jobs, and release their commands."""
        self.run(
            [
                finish_call(self.keys, node.id, node.incarnation, RETENTION_MS, ends),
                ("HDEL", self.keys.claimed(node.id), *(end.job_id for end in ends)),
            ]
        )

    def tell(self, client: str, payload: bytes) -> Call:
        """Make the command that tells a client something about a job."""
        return ("RPUSH", self.keys.inbox(client), payload)

    def reject(self, node: MemoryNode, entries: Sequence[str]) -> list[Call]:
        """Make the commands that list payloads that were not taken."""
        key = self.keys.rejected(node.id)
        return [
            ("LPUSH", key, *entries),
            ("LTRIM", key, 0, _REJECTED_KEPT - 1),
            ("PEXPIRE", key, _REJECTED_TTL_MS),
        ]

    def appear(self, node: MemoryNode) -> list[Call]:
        """Make the commands that say that a node is there, and how it is."""
        now = now_ms()
        fields: dict[str, Argument] = {
            "incarnation": node.incarnation,
            "version": __version__,
            "host": socket.gethostname(),
            "addr": "127.0.0.1",
            "boot": "memory",
            "pid": os.getpid(),
            "pid_start": 0,
            "started": node.started_ms,
            "groups": json.dumps(list(node.groups)),
            "labels": json.dumps(dict(node.labels)),
            "load": "0.0",
            "slots": node.slots,
            "running": node.running_count,
            "queued": node.queued_count,
            "quiet": 0,
            "lease_ms": _PRESENCE_TTL_MS,
            "heartbeat_ms": _PRESENCE_TTL_MS,
        }
        flat = [part for pair in fields.items() for part in pair]
        calls: list[Call] = [
            ("HSET", self.keys.presence(node.id), *flat),
            ("PEXPIRE", self.keys.presence(node.id), _PRESENCE_TTL_MS),
            ("ZADD", self.keys.nodes(), now, node.id),
        ]
        calls += [
            ("ZADD", self.keys.group_leases(group), now + _PRESENCE_TTL_MS, _member(node))
            for group in node.groups
        ]
        return calls

    def vanish(self, node: MemoryNode) -> list[Call]:
        """Make the commands that say that a node is not there any more."""
        calls: list[Call] = [("UNLINK", self.keys.presence(node.id))]
        calls += [("ZREM", self.keys.group_leases(group), _member(node)) for group in node.groups]
        return calls

    def close(self) -> None:
        """Close the connections."""
        self._command.close()
        self._blocking.close()


def _member(node: MemoryNode) -> str:
    return f"{node.id}/{node.incarnation}"


def now_ms() -> int:
    """This machine's time, which is the server's."""
    return time.time_ns() // 1_000_000
