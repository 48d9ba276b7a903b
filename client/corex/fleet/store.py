"""All that is said to Redis about a run; each call one round trip, harmless to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from corex.core import Core
from corex.effects import Plan, Run
from corex.fleet.record import RunRecord, encode_record
from corex_shared.errors import ConflictError
from corex_shared.scripts import Call, script

LEASE = 6.0
"""Seconds for which a client that fell silent is taken to drive its run."""
KEPT = 3600.0
"""Seconds for which the record of a run is kept after its end."""


class Driven(NamedTuple):
    """Answer to a call of a driver.

    Attributes:
        token: of the driver; 0 when somebody else drives, or has; -1 when there is no record.
        now: the server's time, in ms since the epoch.
        length: entries in the journal.
        cancelled_by: who wishes the run to end; empty when nobody does.
    """

    token: int
    now: int
    length: int
    cancelled_by: str


class RunStore:
    """What one who waits for a run says to Redis about it.

    Attributes:
        token: while it drives; else 0.
        length: entries of the journal that it knows.
    """

    def __init__(self, core: Core, record: RunRecord, holder: str) -> None:
        """Prepare.

        Args:
            core: the client's surroundings.
            record: of the run.
            holder: a name that nobody else has.
        """
        self._keys = core.keys
        self._record = record
        self._holder = holder
        self.token = 0
        self.length = 0

    def begin_call(self, entries: Sequence[bytes]) -> Call:
        """Make the call that writes the record and the first entries of the journal."""
        lease, kept = int(LEASE * 1000), self._kept_ms(self._record.started)
        return script("run_begin").call(
            self._names()[:4],
            [encode_record(self._record), self._holder, lease, kept, *entries],
        )

    def begin(self, entries: Sequence[bytes]) -> Plan[None]:
        """Write the record, or write it anew after Redis has lost it, and drive the run.

        Raises:
            ConflictError: there is another run of that ID, or somebody else drives it.
        """
        (token,) = yield Run([self.begin_call(entries)])
        if not token:
            raise ConflictError(f"there is a run {self._record.id} already")
        self.token, self.length = int(token), len(entries)

    def drive_call(self, entries: Sequence[bytes], now: int, *, lease: float = LEASE) -> Call:
        """Make the call that takes, renews or gives back the lease, and appends to the journal.

        Args:
            entries: to append, if this one drives.
            now: the server's time in ms, as far as it is known.
            lease: in seconds; 0 gives it back.
        """
        written = entries if self.token else ()
        return script("run_drive").call(
            self._names(),
            [
                self._holder,
                self.token,
                int(lease * 1000),
                self._kept_ms(now),
                self.length,
                *written,
            ],
        )

    def journal_call(self) -> Call:
        """Make the call that reads what is new in the journal."""
        return ("LRANGE", self._keys.run_journal(self._record.id), self.length, -1)

    def cancel_call(self, who: str, now: int) -> Call:
        """Make the call that tells whoever drives the run that it is to end."""
        return ("SET", self._keys.run_cancel(self._record.id), who, "PX", self._kept_ms(now))

    @staticmethod
    def read_driven(answer: Any) -> Driven:
        """Read the answer to a `drive_call`."""
        token, now, length, by = answer
        return Driven(int(token), int(now), int(length), bytes(by).decode(errors="replace"))

    def _names(self) -> list[str]:
        run, keys = self._record.id, self._keys
        return [
            keys.run_record(run),
            keys.run_journal(run),
            keys.run_driver(run),
            keys.run_token(run),
            keys.run_cancel(run),
        ]

    def _kept_ms(self, now: int) -> int:
        return max(0, self._record.ends - now) + int(KEPT * 1000)
