"""The scripts that an agent runs for many commands at once, made into calls. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from corex_node.places import Place, group_place, own_place
from corex_node.records import Acceptance, Emission, Filing, Held, Rejection
from corex_node.ticket import Source
from corex_shared.keys import Keys
from corex_shared.scripts import Argument, Call, Spread, script

REJECTED_TTL_MS = 7 * 24 * 3_600_000
LOG_TTL_MS = 24 * 3_600_000
"""When the log of a job that never ends may go."""
_EVENTS_AT_ONCE = 1000
"""Events that one script publishes: none may hold up the server for long."""


class JobCalls:
    """Calls of one agent."""

    def __init__(self, keys: Keys, node: str, incarnation: str) -> None:
        """Make calls for a node, in the name of an incarnation."""
        self._keys = keys
        self._node = node
        self._incarnation = incarnation

    def place(self, source: Source, group: str = "") -> Place:
        """Describe one of the node's own lists, or that of a group."""
        if group:
            return group_place(self._keys, self._node, self._incarnation, group)
        return own_place(self._keys, self._node, self._incarnation, source)

    def tell(self, events: Sequence[bytes], *, knows_all: bool) -> list[Call]:
        """Make the calls that publish events.

        Args:
            events: encoded.
            knows_all: whether the server knows of all who listen.
        """
        keys, head = [self._keys.claimed(self._node)], (self._keys.events(), int(knows_all))
        return [
            script("tell").call(keys, [*head, *events[at : at + _EVENTS_AT_ONCE]])
            for at in range(0, len(events), _EVENTS_AT_ONCE)
        ]

    def accept(self, acceptances: Sequence[Acceptance]) -> Spread:
        """Make the call that makes jobs of commands."""
        keys: list[str] = []
        arguments: list[Argument] = []
        state, result = self._keys.state, self._keys.result
        for job in acceptances:
            keys += (state(job.job_id), result(job.job_id))
            arguments += (job.claim, job.stage, int(job.fresh))
        return Spread(script("accept"), [self._incarnation, self._node], keys, arguments, 2, 3)

    def file(self, filings: Sequence[Filing]) -> dict[str, Call]:
        """Make the calls that file commands, one for each place: group → call."""
        arguments: dict[str, list[Argument]] = {}
        for filing in filings:
            arguments.setdefault(filing.group, []).extend(
                (filing.field, filing.job_id, f"{filing.stage} {filing.claim}")
            )
        return {
            group: script("stage").call([place.claimed, place.lease], [place.holder, *given])
            for group, given in arguments.items()
            for place in [self.place(Source.COMMANDS, group)]
        }

    def releases(self, released: Sequence[Held]) -> list[Call]:
        """Make the calls that forget claimed commands, one for each place."""
        arguments: dict[str, list[Argument]] = {}
        for held in released:
            arguments.setdefault(held.group, []).extend((held.field, held.claim))
        return [
            script("release").call([place.claimed, place.lease], [place.holder, "", *given])
            for group, given in arguments.items()
            for place in [self.place(Source.COMMANDS, group)]
        ]

    def emit(self, emission: Emission) -> Call:
        """Make the call that writes messages of one job."""
        arguments: list[Argument] = [
            self._keys.stream(emission.job_id),
            f"{emission.first_kept + 1}-0",
            LOG_TTL_MS,
            self._incarnation,
        ]
        for seq, payload in emission.messages:
            arguments += (seq, payload)
        job = emission.job_id
        return script("emit").call([self._keys.log(job), self._keys.state(job)], arguments)

    def reject(self, rejections: Sequence[Rejection], kept: int, claimed: list[str]) -> Call:
        """Make the call that lists what was not taken, and takes it out of `claimed` if given."""
        arguments: list[Argument] = [kept, REJECTED_TTL_MS]
        for rejection in rejections:
            arguments += (rejection.field, rejection.job_id, rejection.claim, rejection.entry)
        return script("reject").call([self._keys.rejected(self._node), *claimed], arguments)
