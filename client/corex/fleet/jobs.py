"""The jobs of a run: pushed, looked at, taken back and killed, many in one round trip.

A job's ID and its payload follow from the record and the mark of its node alone, so whoever goes
on with a run can make them again: nothing is kept for each node, however large the command is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from corex.core import Core
from corex.effects import Plan, Run
from corex.fleet.record import Mark, RunRecord
from corex.kill import withdraw_many
from corex.submit import CHUNK_BYTES, CHUNK_COMMANDS, prepare, send
from corex.targets import group_of
from corex.ticket import Ticket
from corex_shared.codec import Encoding, decode_result
from corex_shared.errors import DecodeError, StoreForbiddenError
from corex_shared.identifiers import is_valid_id
from corex_shared.models import Command, JobResult
from corex_shared.scripts import Call

TERM = 15
_READ = 200
"""Results read in one round trip."""
_TRACED = 500
"""Jobs looked for in one round trip."""


class Withdrawn(dict[int, JobResult | None]):
    """What was taken back, by the number of the node: its result, None if none was written."""


class RunJobs:
    """The jobs of one run."""

    def __init__(self, core: Core, record: RunRecord) -> None:
        """Prepare.

        Args:
            core: the client's surroundings.
            record: of the run.
        """
        self._core = dataclasses.replace(core, encoding=Encoding(record.encoding))
        self._record = record
        # Nothing of a run begins when its time is up, whoever pushed it when.
        wanted = record.command.expires_at
        expires_at = record.ends if wanted is None else min(wanted, record.ends)
        self._command = msgspec.structs.replace(record.command, expires_at=expires_at)

    def ticket(self, index: int, mark: Mark) -> Ticket:
        """Make the ticket of a node's job, with its payload.

        Raises:
            DecodeError: the command is none that a node could read.
        """
        reply_to = self._command.reply_to or mark.by
        command = msgspec.structs.replace(
            self._command, id=self._record.job(index), reply_to=reply_to
        )
        ticket = prepare(self._core, self._record.nodes[index], command)
        # Made here, though not by `prepare`: a second copy does no harm.
        return msgspec.structs.replace(ticket, given=False)

    def chunks(self, indexes: Sequence[int], mark: Mark) -> Iterator[list[int]]:
        """Split nodes into those whose commands go in one round trip."""
        if indexes:
            size = len(self.ticket(indexes[0], mark).payload)
            most = max(1, min(CHUNK_COMMANDS, CHUNK_BYTES // size))
            for start in range(0, len(indexes), most):
                yield list(indexes[start : start + most])

    def push(self, indexes: Sequence[int], marks: dict[int, Mark], *, again: bool) -> Plan[None]:
        """Push the commands of some nodes, in one round trip unless they are large.

        Args:
            indexes: the nodes.
            marks: of all nodes.
            again: they may have been pushed before: refused second copies are no news.

        Raises:
            StoreError: Redis cannot be reached; some may have been pushed.
        """
        if again:
            for index in indexes:
                self._core.mailbox.note_repeated(self._record.job(index))
        yield from send(self._core, [self.ticket(index, marks[index]) for index in indexes])

    def results(self, indexes: Sequence[int]) -> Plan[dict[int, JobResult | DecodeError]]:
        """Read the results that there are; an error in the place of one that cannot be read."""
        found: dict[int, JobResult | DecodeError] = {}
        keys = self._core.keys
        for start in range(0, len(indexes), _READ):
            chunk = indexes[start : start + _READ]
            payloads = yield Run(
                [("LINDEX", keys.result(self._record.job(index)), 0) for index in chunk]
            )
            for index, payload in zip(chunk, payloads, strict=True):
                if payload is None:
                    continue
                try:
                    found[index] = decode_result(payload)
                except DecodeError as error:
                    found[index] = error
        return found

    def untraced(self, indexes: Sequence[int], marks: dict[int, Mark]) -> Plan[list[int]]:
        """Find the jobs of which there is nothing: no state, no result, no command in the list."""
        lost: list[int] = []
        for start in range(0, len(indexes), _TRACED):
            chunk = indexes[start : start + _TRACED]
            lost += yield from self._untraced(chunk, marks)
        return lost

    def _untraced(self, indexes: Sequence[int], marks: dict[int, Mark]) -> Plan[list[int]]:
        keys, record = self._core.keys, self._record
        calls: list[Call] = [("EXISTS", keys.state(record.job(index))) for index in indexes]
        calls += [("EXISTS", keys.result(record.job(index))) for index in indexes]
        counts = yield Run(calls)
        triples = zip(indexes, counts, counts[len(indexes) :], strict=False)
        unknown = [index for index, state, result in triples if not state and not result]
        if not unknown:
            return []
        tickets = [self.ticket(index, marks[index]) for index in unknown]
        places = yield Run([("LPOS", ticket.queue_key, ticket.payload) for ticket in tickets])
        return [index for index, place in zip(unknown, places, strict=True) if place is None]

    def withdraw(self, indexes: Sequence[int], marks: dict[int, Mark], why: str) -> Plan[Withdrawn]:
        """Take back the commands that no node has taken.

        Returns:
            Those that were, with the results that were written for them. A user who may write no
            results takes them off their lists all the same.
        """
        done = Withdrawn()
        if not indexes:
            return done
        tickets = {index: self.ticket(index, marks[index]) for index in indexes}
        by_job = {ticket.id: index for index, ticket in tickets.items()}
        try:
            taken = yield from withdraw_many(self._core, list(tickets.values()), f"{why}\n")
        except StoreForbiddenError:
            counts = yield Run(
                [("LREM", ticket.queue_key, 0, ticket.payload) for ticket in tickets.values()]
            )
            pairs = zip(tickets, counts, strict=True)
            done.update({index: None for index, count in pairs if count})
            return done
        written = yield from self.results([by_job[ticket.id] for ticket in taken])
        for ticket in taken:
            result = written.get(by_job[ticket.id])
            done[by_job[ticket.id]] = None if isinstance(result, DecodeError) else result
        return done

    def ask_to_kill(self, indexes: Iterable[int], until: int) -> Plan[list[Ticket]]:
        """Ask nodes to kill their jobs; of a job of a group, the node that has it.

        Args:
            indexes: the nodes.
            until: when it is no use any more, in ms since the epoch.

        Returns:
            What was pushed.
        """
        nodes = {index: self._record.nodes[index] for index in indexes}
        for index in [index for index, node in nodes.items() if group_of(node) is not None]:
            (node,) = yield Run([("HGET", self._core.keys.state(self._record.job(index)), "node")])
            name = (node or b"").decode(errors="replace")
            if is_valid_id(name):
                nodes[index] = name
            else:
                del nodes[index]  # nobody has it yet, or somebody else wrote that
        tickets = []
        for index, node in nodes.items():
            arguments = {"id": self._record.job(index), "signal": TERM}
            command = Command("job.kill", arguments, expires_at=until)
            tickets.append(prepare(self._core, node, command, control=True))
        return (yield from send(self._core, tickets))

    @staticmethod
    def take_back(asked: Sequence[Ticket]) -> Plan[None]:
        """Take requests that no node has taken off their lists."""
        if asked:
            yield Run([("LREM", ticket.queue_key, 0, ticket.payload) for ticket in asked])
