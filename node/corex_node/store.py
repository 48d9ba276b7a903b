"""Everything that an agent says to Redis of its commands and jobs.

Each method is one round trip (`settle` up to two), and harmless to repeat. The lease is
`lease_store`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from corex_node.records import Acceptance, Emission, Filing, Refiling, Rejection
from corex_node.ticket import Source
from corex_shared.connection import (
    Endpoint,
    execute_async,
    load_scripts,
    server_infos,
)
from corex_shared.errors import LeaseLostError, StoreRefusedError, StoreUnavailableError
from corex_shared.finishing import INBOX_TTL_MS, Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, Spread, Step, script

BLOCK_SECONDS = 20
"""How long an agent waits for commands before it looks again."""
REJECTED_TTL_MS = 7 * 24 * 3_600_000
LOG_TTL_MS = 24 * 3_600_000
"""When the log of a job that never ends may go."""
_CLAIM_BYTES = 4 * 1024 * 1024
"""Bytes after which one claim takes no further payload."""
_SCAN_COUNT = 500
_ANOTHERS, _NOBODYS = -1, -2
_OVERTAKEN = -2
"""Answer of lua/accept.lua."""
"""Answers of scripts that only the holder of the lease may run."""

_log = structlog.get_logger()


class NodeStore:
    """The Redis side of one agent.

    Attributes:
        on_unheld: hears that the server knows of no lease of this agent.
    """

    def __init__(self, endpoint: Endpoint, keys: Keys, node: str, incarnation: str) -> None:
        """Make the clients; nothing is sent yet."""
        self._keys = keys
        self._node = node
        self._incarnation = incarnation
        self._client = endpoint.async_command()
        self._block = endpoint.longest_block(BLOCK_SECONDS)
        self._waiting = {source: endpoint.async_blocking(self._block) for source in Source}
        self._lists = {
            Source.COMMANDS: keys.commands(node),
            Source.CONTROL: keys.control(node),
        }
        self._claimed = keys.claimed(node)
        self._presence = keys.presence(node)
        self.on_unheld: Callable[[], object] = lambda: None

    async def prepare(self) -> None:
        """Reach the server and make the scripts known.

        Raises:
            StoreError: it cannot be reached, or refuses scripts.
        """
        await load_scripts(self._client)

    async def infos(self) -> list[dict[str, Any]]:
        """Read the server's INFO, or that of each master of a Cluster.

        Raises:
            StoreError: it cannot be reached.
        """
        return await server_infos(self._client)

    async def claim(
        self, source: Source, most: int, number: int, cap: int
    ) -> list[bytes | tuple[bytes, int]] | None:
        """Wait until a list is not empty, then claim from it.

        Waiting and claiming are one round trip: the claim runs on the server as soon as the wait
        is over.

        Args:
            source: the list.
            most: commands to claim at most.
            number: of the first claim.
            cap: payloads larger than this are cut.

        Returns:
            Payloads in order, of a cut one its head and its whole size; None when this agent may
            not claim (quiet, or without the lease).

        Raises:
            StoreUnavailableError: payloads may have been claimed; `claimed` finds them.
        """
        key = self._lists[source]
        claim = script("claim").call(
            [key, self._claimed, self._presence],
            [self._incarnation, most, _CLAIM_BYTES, cap, source.value, number],
        )
        wait: Call = ("BLMOVE", key, key, "LEFT", "LEFT", f"{self._block:g}")
        answer = (await execute_async(self._waiting[source], [wait, claim]))[1]
        if answer is None:
            self.on_unheld()
            return None
        return [tuple(item) if isinstance(item, list) else item for item in answer]

    async def admit(
        self, acceptances: Sequence[Acceptance], filings: Sequence[Filing]
    ) -> list[int]:
        """Accept jobs and file their commands, in one round trip.

        Returns:
            For each acceptance 1 (accepted), 2 (had a result already) or 0 (the ID is another's).

        Raises:
            LeaseLostError: another agent serves the node now.
        """
        calls: list[Step] = []
        if acceptances:
            calls.append(self._accept(acceptances))
        if filings:
            calls.append(self._file(filings))
        if not calls:
            return []
        replies = await execute_async(self._client, calls)
        if filings:
            self._check_lease(replies[-1])
        answers: list[int] = replies[0] if acceptances else []
        if _OVERTAKEN not in answers:
            return answers
        if not filings:
            raise LeaseLostError("another agent has taken over what was claimed")
        # The lease is ours: it is a predecessor's that a forgetful server has brought back.
        known = [msgspec.structs.replace(job, fresh=False) for job in acceptances]
        return await self.admit(known, filings)

    async def mark(self, filings: Sequence[Filing]) -> None:
        """Write the stage of jobs that were filed before, for recovery and for clients.

        Raises:
            LeaseLostError: another agent serves the node now.
        """
        states = [self._keys.state(filing.job_id) for filing in filings]
        stages: list[Argument] = [filing.stage for filing in filings]
        seen = Spread(script("mark"), [self._incarnation], states, stages, 1, 1)
        replies = await execute_async(self._client, [self._file(filings), seen])
        self._check_lease(replies[0])

    async def refile(self, refilings: Sequence[Refiling]) -> None:
        """File commands again that the server has forgotten; those that are there are left alone.

        Raises:
            LeaseLostError: another agent serves the node now.
        """
        if not refilings:
            return
        arguments: list[Argument] = [self._incarnation]
        for refiling in refilings:
            header = f"{refiling.stage} {refiling.claim}\n".encode()
            arguments += (refiling.job_id, header + refiling.payload)
        call = script("refile").call([self._claimed, self._presence], arguments)
        self._check_lease((await execute_async(self._client, [call]))[0])

    def _accept(self, acceptances: Sequence[Acceptance]) -> Spread:
        keys: list[str] = []
        arguments: list[Argument] = []
        state, result = self._keys.state, self._keys.result
        for job in acceptances:
            keys += (state(job.job_id), result(job.job_id))
            arguments += (job.claim, job.stage, int(job.fresh))
        return Spread(script("accept"), [self._incarnation, self._node], keys, arguments, 2, 3)

    def _file(self, filings: Sequence[Filing]) -> Call:
        arguments: list[Argument] = [self._incarnation]
        for filing in filings:
            arguments += (filing.field, filing.job_id, f"{filing.stage} {filing.claim}")
        return script("stage").call([self._claimed, self._presence], arguments)

    async def settle(
        self,
        emissions: Sequence[Emission],
        node_messages: Sequence[bytes],
        events: Sequence[bytes],
        finishes: Sequence[Finish],
        released: Sequence[str],
        retention_ms: int,
    ) -> list[int]:
        """Write output and results, and forget the finished commands.

        One round trip, or two where both output and results are to be written.

        Args:
            emissions: messages of jobs that stream.
            node_messages: encoded messages for the node's log channel.
            events: encoded events for the fleet's channel.
            finishes: ended jobs; their earlier messages are in `emissions` or were written.
            released: fields of the claimed hash that are done with.
            retention_ms: how long results live.

        Returns:
            For each finish `WRITTEN`, `PRESENT` (there was a result), `STALE` (another
            incarnation holds the job), `REFUSED` (its keys are not ours) or `TAKEN` (the ID is
            another command's).

        Raises:
            StoreUnavailableError: some or all may have been done.
        """
        node_log = self._keys.node_log(self._node)
        written: list[Step] = [self._emit(emission) for emission in emissions]
        written += [("PUBLISH", node_log, message) for message in node_messages]
        written += [("PUBLISH", self._keys.events(), event) for event in events]
        ends: list[Step] = []
        if finishes:
            ends.append(
                finish_call(self._keys, self._node, self._incarnation, retention_ms, finishes)
            )
        if released:
            ends.append(
                script("release").call(
                    [self._claimed, self._presence], [self._incarnation, *released]
                )
            )
        if emissions and finishes:
            # No last message may be written before those that come before it, even if only
            # one of two scripts is known to the server.
            await self._settle(written)
            replies = await self._settle(ends)
        else:
            replies = (await self._settle([*written, *ends]))[len(written) :]
        answer = replies[0] if finishes else []
        if isinstance(answer, StoreRefusedError):  # not one job's fault: no result is given up
            raise StoreUnavailableError(str(answer)) from answer
        if released and replies[-1] == _NOBODYS:
            self._check_lease(_NOBODYS)
        answers: list[int] = answer
        return answers

    async def _settle(self, calls: list[Step]) -> list[Any]:
        replies = await execute_async(self._client, calls, keep_refusals=True) if calls else []
        for reply in replies:
            if isinstance(reply, StoreRefusedError):
                _log.error("store.refused", reason=str(reply))
        return replies

    def _emit(self, emission: Emission) -> Call:
        arguments: list[Argument] = [
            self._keys.stream(emission.job_id),
            f"{emission.first_kept + 1}-0",
            LOG_TTL_MS,
        ]
        for seq, payload in emission.messages:
            arguments += (seq, payload)
        return script("emit").call([self._keys.log(emission.job_id)], arguments)

    async def reject(self, rejections: Sequence[Rejection], kept: int) -> None:
        """Move claimed payloads to the rejected list, which holds `kept` entries at most."""
        arguments: list[Argument] = [kept, REJECTED_TTL_MS]
        for rejection in rejections:
            arguments += (rejection.field, rejection.job_id, rejection.claim, rejection.entry)
        call = script("reject").call([self._keys.rejected(self._node), self._claimed], arguments)
        await execute_async(self._client, [call])

    async def tell_inbox(self, client: str, entries: Sequence[bytes]) -> None:
        """Tell a client of results that no result key holds."""
        key = self._keys.inbox(client)
        await execute_async(
            self._client,
            [("RPUSH", key, *entries), ("PEXPIRE", key, INBOX_TTL_MS)],
        )

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Remove the state of jobs that go back to their list."""
        states = [self._keys.state(job_id) for job_id in job_ids]
        forgets = Spread(script("forget"), [self._incarnation], states, (), 1)
        await execute_async(self._client, [forgets])

    async def give_back(self, source: Source, fields: Sequence[str]) -> None:
        """Put claimed commands back at the left of their list, in the order given.

        Raises:
            LeaseLostError: another agent serves the node now; the commands are its.
        """
        call = script("giveback").call(
            [self._lists[source], self._claimed, self._presence], [self._incarnation, *fields]
        )
        self._check_lease((await execute_async(self._client, [call]))[0])

    async def last_entries(self, job_ids: Sequence[str]) -> list[int]:
        """Tell how many messages each job's log has had, for those who number on.

        Returns:
            The seq that the next message of each job has.
        """
        calls: list[Call] = [
            ("XREVRANGE", self._keys.log(job_id), "+", "-", "COUNT", 1) for job_id in job_ids
        ]
        replies = await execute_async(self._client, calls, keep_refusals=True)
        return [_next_seq(reply) for reply in replies]

    async def claimed(self) -> dict[bytes, bytes]:
        """Read the whole claimed hash, in steps."""
        found: dict[bytes, bytes] = {}
        cursor = b"0"
        while True:
            call: Call = ("HSCAN", self._claimed, cursor, "COUNT", _SCAN_COUNT)
            cursor, pairs = _scanned((await execute_async(self._client, [call]))[0])
            found.update(pairs)
            if cursor in (b"0", 0):
                return found

    async def go_quiet(self) -> None:
        """Have every later claim refused, those that wait on the server included."""
        call = script("lease").call(
            [self._presence], [self._incarnation, BLOCK_SECONDS * 1000, "", "quiet", 1]
        )
        await execute_async(self._client, [call])

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._client, *self._waiting.values()):
            await client.aclose()

    def _check_lease(self, answer: int) -> None:
        """Go by what a script says that only the holder of the lease may run.

        Raises:
            LeaseLostError: another agent has the lease.
            StoreUnavailableError: nobody has; the heartbeat will take it again.
        """
        if answer == _ANOTHERS:
            raise LeaseLostError("another agent serves the node")
        if answer == _NOBODYS:
            self.on_unheld()
            raise StoreUnavailableError("the node's lease has run out")


def _next_seq(reply: Any) -> int:
    """Seq after a log's last entry; 0 for a log that is empty or not ours."""
    if not isinstance(reply, list) or not reply:
        return 0
    return int(reply[0][0].partition(b"-")[0])


def _scanned(answer: Any) -> tuple[Any, dict[bytes, bytes]]:
    """Read an answer of HSCAN, whose pairs redis-py gives as a map or, raw, as a flat list."""
    cursor, pairs = answer
    if isinstance(pairs, dict):
        return cursor, pairs
    return cursor, dict(zip(pairs[::2], pairs[1::2], strict=True))
