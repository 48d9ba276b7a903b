"""The lease of a run and its journal, as the scripts keep them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from corex.core import Core
from corex.effects import Plan
from corex.fleet.record import RunRecord, encode_record
from corex.fleet.store import Driven, RunStore
from corex.transport import SyncTransport
from corex_shared.errors import ConflictError
from corex_shared.keys import Keys
from corex_shared.models import Command

RECORD = RunRecord("r", Command("core.ping"), ("n1",), "msgpack", 60.0, 1000, "c1")


class Party:
    """Clients that want to drive one run."""

    def __init__(self, url: str, keys: Keys, raw: redis.Redis) -> None:
        self.keys = keys
        self.raw: Any = raw
        self.core = Core(keys=keys)
        self.transport = SyncTransport(url, self.core)

    def store(self, holder: str, record: RunRecord = RECORD) -> RunStore:
        """Make the store of one of them."""
        return RunStore(self.core, record, holder)

    def begin(self, store: RunStore, *entries: bytes) -> None:
        """Begin the run."""
        plan: Plan[None] = store.begin(entries)
        self.transport.perform(plan)

    def drive(self, store: RunStore, *entries: bytes, lease: float = 5.0) -> Driven:
        """Drive; the store takes note of the answer as a driver does."""
        (answer,) = self.transport.run([store.drive_call(entries, 1000, lease=lease)])
        driven = store.read_driven(answer)
        store.token = max(0, driven.token)
        store.length = driven.length
        return driven

    def journal(self) -> list[bytes]:
        """Read the journal."""
        found: list[bytes] = self.raw.lrange(self.keys.run_journal("r"), 0, -1)
        return found

    def lapse(self) -> None:
        """Let the lease run out."""
        self.raw.delete(self.keys.run_driver("r"))


@pytest.fixture
def party(redis_url: str, keys: Keys, raw: redis.Redis) -> Iterator[Party]:
    """Clients of this test's namespace."""
    party = Party(redis_url, keys, raw)
    yield party
    party.transport.close()


def test_one_drives_and_the_other_does_not(party: Party) -> None:
    """It writes nothing; when the lease has run out it gets a higher token."""
    first, second = party.store("a"), party.store("b")
    party.begin(first, b"1")
    assert party.drive(first, b"2").token == first.token == 1
    assert party.drive(second, b"x").token == 0
    assert party.journal() == [b"1", b"2"]
    party.lapse()
    assert party.drive(second).token == 2
    assert party.drive(second, b"3").length == 3
    stale = party.drive(first, b"late")
    assert stale.token == 0
    assert party.journal() == [b"1", b"2", b"3"]


def test_a_driver_whose_token_is_old_writes_nothing_even_if_nobody_drives(party: Party) -> None:
    """Somebody has driven since, and given the lease back."""
    first, second = party.store("a"), party.store("b")
    party.begin(first)
    party.lapse()
    party.drive(second)
    party.drive(second, b"1", lease=0)
    assert not party.raw.exists(party.keys.run_driver("r"))
    assert party.drive(first, b"late").token == 0
    assert party.journal() == [b"1"]


def test_a_driver_whose_lease_ran_out_goes_on_if_nobody_has_driven(party: Party) -> None:
    """With the token that it has."""
    first = party.store("a")
    party.begin(first)
    party.lapse()
    assert party.drive(first, b"1").token == 1
    assert party.journal() == [b"1"]


def test_entries_whose_answer_got_lost_are_written_once(party: Party) -> None:
    """The repetition finds them there."""
    first = party.store("a")
    party.begin(first, b"0")
    call = first.drive_call([b"1", b"2"], 1000)
    for _ in range(3):
        (answer,) = party.transport.run([call])
        assert first.read_driven(answer).length == 3
    assert party.journal() == [b"0", b"1", b"2"]


def test_to_begin_may_be_repeated(party: Party) -> None:
    """By the one who did; another record of that ID is refused, and changes nothing."""
    first = party.store("a")
    for _ in range(2):
        party.begin(first, b"1")
        assert first.token == 1
    assert party.journal() == [b"1"]
    other = RunRecord("r", Command("core.ping"), ("n2",), "msgpack", 60.0, 1000, "c1")
    for store in (party.store("a", other), party.store("b")):
        with pytest.raises(ConflictError):
            party.begin(store, b"2")
    assert party.journal() == [b"1"]
    assert party.raw.get(party.keys.run_record("r")) == encode_record(RECORD)


def test_without_a_record_nothing_is_written(party: Party) -> None:
    """It is gone, or never was."""
    assert party.drive(party.store("a"), b"1").token == -1
    assert party.raw.keys(f"{party.keys.namespace}:*") == []


def test_all_keys_of_a_run_go_in_the_end(party: Party) -> None:
    """An hour after its end; the lease in seconds."""
    first = party.store("a")
    party.begin(first, b"1")
    party.transport.run([first.cancel_call("me", 1000)])
    driven = party.drive(first, b"2")
    assert driven.cancelled_by == "me"
    keys = party.keys
    for key in (keys.run_record, keys.run_journal, keys.run_token, keys.run_cancel):
        assert 3_600_000 < party.raw.pttl(key("r")) <= 3_660_000
    assert 0 < party.raw.pttl(keys.run_driver("r")) <= 5000
