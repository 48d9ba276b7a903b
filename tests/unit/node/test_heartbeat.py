"""Taking a node's lease, with a store that is none."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from corex_node.clock import ServerClock
from corex_node.leases import Heartbeat, Identity, LeaseAnswer, Load, pid_start
from corex_shared.errors import LeaseHeldError, StoreUnavailableError
from corex_shared.scripts import Call
from tests.helpers.eventually import eventually_async

NOW = 1_700_000_000_000
IDENTITY = Identity.of_this_process("n1", "mine", ("g",), {"zone": "a"})


class Store:
    """Answers what it is told to, the last answer again and again."""

    def __init__(self, *answers: LeaseAnswer | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[dict[str, str | int], int, str]] = []
        self.seen_at: list[int] = []
        self.given_back = 0
        self.renewed: list[Call] = []

    def lease(self, fields: dict[str, str | int], ttl_ms: int, replaces: str) -> LeaseAnswer:
        """Answer."""
        self.asked.append((fields, ttl_ms, replaces))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def seen(self, server_ms: int) -> None:
        """Note it."""
        self.seen_at.append(server_ms)

    def renew(self, calls: list[Call]) -> list[Any]:
        """Note them; the answer to each is its last argument."""
        self.renewed += calls
        return [call[-1] for call in calls]

    def unlease(self) -> None:
        """Note it."""
        self.given_back += 1


HELD = LeaseAnswer(True, NOW)
# A live process of this machine: this one.
OTHER = LeaseAnswer(
    held=False,
    server_ms=NOW,
    holder="other",
    boot=IDENTITY.boot,
    pid=os.getpid(),
    pid_start=pid_start(os.getpid()) or 0,
    host="host",
    address="10.0.0.7",
    started=NOW - 7_200_000,
    ttl_ms=15_000,
)


def _heartbeat(store: Store) -> Heartbeat:
    return Heartbeat(store, IDENTITY, ServerClock(), ttl=15, every=5)


async def test_a_free_lease() -> None:
    """It is taken with one question; who we are is told with it."""
    store = Store(HELD)
    heartbeat = _heartbeat(store)
    heartbeat.load = lambda: Load(200, 3, 4)
    assert await heartbeat.acquire() == NOW
    fields, ttl_ms, replaces = store.asked[0]
    assert (len(store.asked), ttl_ms, replaces) == (1, 15_000, "")
    assert (fields["slots"], fields["running"], fields["queued"]) == (200, 3, 4)
    assert (fields["groups"], fields["labels"]) == ('["g"]', '{"zone": "a"}')
    assert fields["pid"] == os.getpid()
    assert store.seen_at == [NOW]


async def test_a_holder_that_is_gone_is_replaced_at_once() -> None:
    """A process of this machine that is no more is not waited for."""
    for gone in (
        replace(OTHER, pid=2**22 + 1, pid_start=1),
        replace(OTHER, pid_start=OTHER.pid_start + 1),  # its number is another's now
    ):
        store = Store(gone, HELD)
        assert await _heartbeat(store).acquire() == NOW
        assert [replaces for _, _, replaces in store.asked] == ["", "other"]


async def test_a_holder_elsewhere_that_renews_is_left_alone() -> None:
    """A renewal seen is proof of life, whatever the numbers of its process."""
    far = replace(OTHER, boot="another machine", pid=2**22 + 1, host="far")
    store = Store(far, replace(far, server_ms=NOW + 5000))
    with pytest.raises(
        LeaseHeldError, match=r"node n1 .*process 4194305 on far \(10\.0\.0\.7\), started 2 h ago"
    ):
        await _heartbeat(store).acquire()
    assert {replaces for _, _, replaces in store.asked} == {""}


async def test_a_holder_elsewhere_that_is_silent_is_waited_for() -> None:
    """Its lease runs out, and then is ours; a few milliseconds more are no renewal."""
    far = replace(OTHER, boot="another machine")
    store = Store(far, replace(far, server_ms=NOW + 505, ttl_ms=14_500), HELD)
    assert await _heartbeat(store).acquire() == NOW
    assert len(store.asked) == 3


async def test_a_third_agent_that_was_faster() -> None:
    """When the lease changes hands while we wait, its new holder is alive."""
    far = replace(OTHER, boot="another machine")
    store = Store(far, replace(far, holder="third"))
    with pytest.raises(LeaseHeldError):
        await _heartbeat(store).acquire()


async def test_a_live_holder_of_this_machine() -> None:
    """It is not replaced while it renews."""
    store = Store(OTHER, replace(OTHER, server_ms=NOW + 5000))
    with pytest.raises(LeaseHeldError):
        await _heartbeat(store).acquire()


async def test_redis_is_away() -> None:
    """It is the caller's to try again."""
    with pytest.raises(StoreUnavailableError):
        await _heartbeat(Store(StoreUnavailableError("away"))).acquire()


async def test_the_lease_is_given_back() -> None:
    """Once, at the end, whether it was being renewed or not."""
    store = Store(HELD)
    heartbeat = _heartbeat(store)
    await heartbeat.acquire()
    heartbeat.stop()
    assert store.given_back == 1


class _Held:
    """Something else that is held."""

    def __init__(self, *calls: Call) -> None:
        self._calls = list(calls)
        self.answers: list[Any] | None = None

    def calls(self) -> list[Call]:
        """Those that it was made with."""
        return self._calls

    def heard(self, answers: list[Any]) -> None:
        """Note them."""
        self.answers = answers


async def test_what_else_is_held_is_renewed_with_the_lease_in_one_round_trip() -> None:
    """Each hears the answers to its own commands; who holds nothing hears nothing."""
    store = Store(HELD)
    heartbeat = _heartbeat(store)
    one, none, two = _Held(("GET", "a"), ("GET", "b")), _Held(), _Held(("GET", "c"))
    heartbeat.renewals = [one, none, two]
    await heartbeat.acquire()
    assert [call[1] for call in store.renewed] == ["a", "b", "c"]
    assert (one.answers, none.answers, two.answers) == (["a", "b"], None, ["c"])


class _Partly(Store):
    """Renews leases; another server, which has the list of all nodes, is away."""

    def seen(self, server_ms: int) -> None:
        """Raise."""
        raise StoreUnavailableError("away")


async def test_a_regained_lease_is_told_of_and_others_are_renewed_whatever_comes_then() -> None:
    """One server of a Cluster that is away keeps nobody from renewing what others have."""
    heard, held = threading.Event(), _Held(("GET", "a"))
    heartbeat = Heartbeat(
        _Partly(replace(HELD, fresh=True)), IDENTITY, ServerClock(), ttl=15, every=0.01
    )
    heartbeat.on_regained = heard.set
    heartbeat.renewals = [held]
    heartbeat.start()
    assert await asyncio.to_thread(heard.wait, 5)
    heartbeat.stop()
    assert held.answers == ["a"]


async def test_an_error_that_nobody_has_foreseen_is_told_of() -> None:
    """Without its heartbeat an agent must not go on."""
    failed: queue.SimpleQueue[Exception] = queue.SimpleQueue()
    heartbeat = Heartbeat(Store(ValueError("what?")), IDENTITY, ServerClock(), ttl=15, every=0.01)
    heartbeat.on_failed = failed.put
    heartbeat.start()
    error = await asyncio.to_thread(failed.get, timeout=15)
    heartbeat.stop()
    assert str(error) == "what?"


async def test_a_redis_that_is_away_is_said_once_and_that_it_is_back() -> None:
    """However often the lease could not be renewed meanwhile."""
    away = [StoreUnavailableError("away") for _ in range(20)]
    store = Store(HELD, *away, HELD)
    heartbeat = Heartbeat(store, IDENTITY, ServerClock(), ttl=15, every=0.005)
    await heartbeat.acquire()
    with capture_logs() as logs:
        heartbeat.start()
        await eventually_async(lambda: len(store.seen_at) > 1, "it is renewed")
        heartbeat.stop()
    assert [log["event"] for log in logs] == ["heartbeat.away", "heartbeat.back"]
    assert (logs[0]["reason"], logs[1]["tries"]) == ("away", 20)
