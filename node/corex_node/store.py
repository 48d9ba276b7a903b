"""Everything that an agent says to Redis of its commands and jobs.

Each method is one round trip (`settle` up to two), and harmless to repeat. The lease is
`lease_store`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from corex_node.job_calls import JobCalls
from corex_node.places import Place
from corex_node.records import Acceptance, Emission, Filing, Held, Refiling, Rejection, Runs
from corex_node.refusals import REFUSALS
from corex_node.ticket import Source
from corex_shared.connection import (
    Endpoint,
    execute_async,
    load_scripts,
    server_infos,
)
from corex_shared.errors import (
    GroupLostError,
    LeaseLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from corex_shared.finishing import INBOX_TTL_MS, Finish, finish_call
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, Spread, Step, script

BLOCK_SECONDS = 20
"""How long an agent waits for commands before it looks again."""
_CLAIM_BYTES = 4 * 1024 * 1024
"""Bytes after which one claim takes no further payload."""
_SCAN_COUNT = 500
_ANOTHERS, _NOBODYS = -1, -2
"""Answers of scripts that only the holder of the lease may run."""
_OVERTAKEN = -2
"""Answer of lua/accept.lua: somebody else holds by now what this agent had claimed."""


class NodeStore:
    """The Redis side of one agent.

    Attributes:
        on_unheld: hears that the server knows of no lease of this agent.
        on_told: hears, after events were published, whether anybody may have heard them.
    """

    def __init__(self, endpoint: Endpoint, keys: Keys, node: str, incarnation: str) -> None:
        """Make the clients; nothing is sent yet."""
        self._keys = keys
        self._node = node
        self._incarnation = incarnation
        self._calls = JobCalls(keys, node, incarnation)
        self._client = endpoint.async_command()
        self._block = endpoint.longest_block(BLOCK_SECONDS)
        self._endpoint = endpoint
        self._waiting = {
            self.place(source): endpoint.async_blocking(self._block) for source in Source
        }
        self._claimed = keys.claimed(node)
        self._presence = keys.presence(node)
        # Only where one server has all who listen can it tell whether there is anybody.
        self._counts_listeners = not endpoint.is_cluster
        self.on_unheld: Callable[[], object] = lambda: None
        self.on_told: Callable[[bool], object] = lambda heard: None

    def place(self, source: Source, group: str = "") -> Place:
        """Describe one of the node's own lists, or that of a group."""
        return self._calls.place(source, group)

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
        self, place: Place, most: int, number: int, cap: int, *, wait: bool = True
    ) -> list[bytes | tuple[bytes, int]] | None:
        """Wait until a list is not empty, then claim from it.

        Waiting and claiming are one round trip: the claim runs on the server as soon as the wait
        is over.

        Args:
            place: the list.
            most: commands to claim at most.
            number: of the first claim.
            cap: payloads larger than this are cut.
            wait: whether to wait at all.

        Returns:
            Payloads in order, of a cut one its head and its whole size; None when this agent may
            not claim (quiet, or without the lease).

        Raises:
            StoreUnavailableError: payloads may have been claimed; `claimed` finds them.
        """
        claim = script("claim").call(
            [place.commands, place.claimed, place.lease],
            [place.holder, most, _CLAIM_BYTES, cap, place.prefix, number],
        )
        client = self._waiting[place] if wait else self._client
        calls = [self._wait_call(place), claim] if wait else [claim]
        answer = (await execute_async(client, calls))[-1]
        if answer is None:
            if not place.group:
                self.on_unheld()
            return None
        return [tuple(item) if isinstance(item, list) else item for item in answer]

    async def wait_for_commands(self, place: Place) -> None:
        """Return when a list is not empty, or after some time.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        if place not in self._waiting:
            self._waiting[place] = self._endpoint.async_blocking(self._block)
        await execute_async(self._waiting[place], [self._wait_call(place)])

    async def admit(
        self, acceptances: Sequence[Acceptance], filings: Sequence[Filing]
    ) -> list[int]:
        """Accept jobs and file their commands, in one round trip.

        Returns:
            For each acceptance 1 (accepted), 2 (had a result already), 0 (the ID is another's), -1
            (it is on its way back to its list) or -2 (of a group: another node has taken it over).

        Raises:
            LeaseLostError: another agent serves the node now.
            GroupLostError: what was claimed of the group is others' now.
        """
        filed = self._calls.file(filings)
        calls: list[Step] = [*filed.values()]
        if acceptances:
            calls.insert(0, self._calls.accept(acceptances))
        if not calls:
            return []
        replies = await execute_async(self._client, calls)
        for group, reply in zip(reversed(filed), reversed(replies), strict=False):
            self._check_lease(reply, group)
        answers: list[int] = replies[0] if acceptances else []
        own = [not job.group for job in acceptances]
        if not any(mine and seen == _OVERTAKEN for mine, seen in zip(own, answers, strict=False)):
            return answers
        if "" not in filed:
            nothing = script("stage").call([self._claimed, self._presence], [self._incarnation])
            self._check_lease((await execute_async(self._client, [nothing]))[0])
        # The lease is ours: whoever holds the job was here before, and a forgetful server has
        # brought it back; or it had the node while we were stopped, and died.
        known = [job if job.group else structs.replace(job, fresh=False) for job in acceptances]
        return await self.admit(known, filings)

    async def mark(self, filings: Sequence[Filing]) -> set[str]:
        """Write the stage of jobs that were filed before, for recovery and for clients.

        Returns:
            The groups of which nothing was written, because it is others' now.

        Raises:
            LeaseLostError: another agent serves the node now.
        """
        states = [self._keys.state(filing.job_id) for filing in filings]
        told: list[Argument] = []
        for filing in filings:
            runs = filing.runs
            counts = ("", "") if runs is None else (runs.begun, runs.failed)
            told += (filing.stage, *counts)
        seen = Spread(script("mark"), [self._incarnation], states, told, 1, 3)
        filed = self._calls.file(filings)
        replies = await execute_async(self._client, [*filed.values(), seen])
        answers = dict(zip(filed, replies, strict=False))
        self._check_lease(answers.get("", 0))
        return {group for group, answer in answers.items() if answer < 0}

    async def runs(self, job_ids: Sequence[str]) -> list[Runs]:
        """Read how often jobs have run that were accepted."""
        calls: list[Call] = [
            ("HMGET", self._keys.state(job_id), "runs", "failed") for job_id in job_ids
        ]
        replies = await execute_async(self._client, calls, keep_refusals=True)
        return [_runs(reply) for reply in replies]

    async def are_held(self, job_ids: Sequence[str]) -> list[bool]:
        """Tell of each job whether this incarnation holds it."""
        calls: list[Call] = [("HGET", self._keys.state(job_id), "holder") for job_id in job_ids]
        replies = await execute_async(self._client, calls, keep_refusals=True)
        return [reply == self._incarnation.encode() for reply in replies]

    async def refile(self, place: Place, refilings: Sequence[Refiling]) -> None:
        """File commands again that the server has forgotten; those that are there are left alone.

        Raises:
            LeaseLostError: another agent serves the node now.
            GroupLostError: what was claimed of the group is others' now.
        """
        if not refilings:
            return
        arguments: list[Argument] = [place.holder]
        for refiling in refilings:
            header = f"{refiling.stage} {refiling.claim}\n".encode()
            arguments += (refiling.job_id, header + refiling.payload)
        call = script("refile").call([place.claimed, place.lease], arguments)
        self._check_lease((await execute_async(self._client, [call]))[0], place.group)

    async def settle(
        self,
        emissions: Sequence[Emission],
        node_messages: Sequence[bytes],
        events: Sequence[bytes],
        finishes: Sequence[Finish],
        released: Sequence[Held],
        retention_ms: int,
    ) -> list[int]:
        """Write output and results, and forget the finished commands.

        One round trip, or two where both output and results are to be written.

        Args:
            emissions: messages of jobs that stream.
            node_messages: encoded messages for the node's log channel.
            events: encoded events for the fleet's channel.
            finishes: ended jobs; their earlier messages are in `emissions` or were written.
            released: claimed commands that are done with.
            retention_ms: how long results live.

        Returns:
            For each finish `WRITTEN`, `PRESENT` (there was a result), `STALE` (another
            incarnation holds the job), `REFUSED` (its keys are not ours) or `TAKEN` (the ID is
            another command's).

        Raises:
            StoreUnavailableError: some or all may have been done.
        """
        node_log = self._keys.node_log(self._node)
        written: list[Step] = [self._calls.emit(emission) for emission in emissions]
        written += [("PUBLISH", node_log, message) for message in node_messages]
        told = self._calls.tell(events, knows_all=self._counts_listeners)
        written += told
        ends: list[Step] = []
        if finishes:
            ends.append(
                finish_call(self._keys, self._node, self._incarnation, retention_ms, finishes)
            )
        releases = self._calls.releases(released)
        ends += releases
        if emissions and finishes:
            # No last message may be written before those that come before it, even if only
            # one of two scripts is known to the server.
            before = await self._settle(written)
            replies = await self._settle(ends)
        else:
            replies = await self._settle([*written, *ends])
            before, replies = replies[: len(written)], replies[len(written) :]
        if told:
            self._note_listeners(before[-1])
        answer = replies[0] if finishes else []
        if isinstance(answer, StoreRefusedError):  # not one job's fault: no result is given up
            raise StoreUnavailableError(str(answer)) from answer
        if _NOBODYS in replies[len(ends) - len(releases) :]:
            self._check_lease(_NOBODYS)
        answers: list[int] = answer
        return answers

    async def _settle(self, calls: list[Step]) -> list[Any]:
        replies = await execute_async(self._client, calls, keep_refusals=True) if calls else []
        for reply in replies:
            if isinstance(reply, StoreRefusedError):
                REFUSALS.say(reply, "outbox")
        return replies

    async def tell(self, events: Sequence[bytes]) -> None:
        """Publish events that nothing else goes along with."""
        await self._settle([*self._calls.tell(events, knows_all=self._counts_listeners)])

    def _note_listeners(self, answer: Any) -> None:
        """Take the answer to events that were published, or the refusal to."""
        self.on_told(not self._counts_listeners or (isinstance(answer, int) and answer > 0))

    async def reject(self, rejections: Sequence[Rejection], kept: int) -> None:
        """Move claimed payloads to the rejected list, which holds `kept` entries at most."""
        own = [rejection for rejection in rejections if not rejection.group]
        others = [rejection for rejection in rejections if rejection.group]
        calls: list[Call] = []
        if own:
            calls.append(self._calls.reject(own, kept, [self._claimed]))
        if others:
            calls.append(self._calls.reject(others, kept, []))
        await execute_async(self._client, calls)
        if others:  # they are in the list, whatever happens now
            released = [
                Held(rejection.group, field, rejection.claim)
                for rejection in others
                for field in (rejection.field, rejection.job_id)
                if field
            ]
            await execute_async(self._client, self._calls.releases(released))

    async def note_rejected(self, rejections: Sequence[Rejection], kept: int) -> None:
        """Have entries in the rejected list, each once, whatever is claimed."""
        await execute_async(self._client, [self._calls.reject(rejections, kept, [])])

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

    async def give_back(self, place: Place, held: Sequence[Held]) -> None:
        """Put claimed commands back at the left of their list, in the order given.

        Args:
            place: where all of them are.
            held: the commands.

        Raises:
            LeaseLostError: another agent serves the node now; the commands are its.
            GroupLostError: the commands are others'.
        """
        arguments: list[Argument] = [place.holder, ""]
        for command in held:
            arguments += (command.field, command.claim)
        keys = [place.commands, place.claimed, place.lease]
        call = script("giveback").call(keys, arguments)
        self._check_lease((await execute_async(self._client, [call]))[0], place.group)

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

    async def claimed(self, group: str = "") -> dict[bytes, bytes]:
        """Read the whole claimed hash, the node's own or that of a group, in steps."""
        claimed = self.place(Source.COMMANDS, group).claimed
        found: dict[bytes, bytes] = {}
        cursor = b"0"
        while True:
            call: Call = ("HSCAN", claimed, cursor, "COUNT", _SCAN_COUNT)
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

    def _wait_call(self, place: Place) -> Call:
        key = place.commands
        return ("BLMOVE", key, key, "LEFT", "LEFT", f"{self._block:g}")

    def _check_lease(self, answer: int, group: str = "") -> None:
        """Go by what a script says that only the holder of the lease may run.

        Raises:
            LeaseLostError: another agent has the lease.
            GroupLostError: the group, whose lease it is, goes on without this agent.
            StoreUnavailableError: nobody has; the heartbeat will take it again.
        """
        if answer < 0 and group:
            raise GroupLostError(f"group {group}: what this node had claimed is others' now")
        if answer == _ANOTHERS:
            raise LeaseLostError("another agent serves the node")
        if answer == _NOBODYS:
            self.on_unheld()
            raise StoreUnavailableError("the node's lease has run out")


def _runs(reply: Any) -> Runs:
    """Read how often a job has run; never, if its state is somebody else's."""
    if not isinstance(reply, list):
        return Runs()
    begun, failed = reply
    return Runs(int(begun or 0), int(failed or 0))


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
