"""What Redis holds is compared with what the agent knows, both of them played."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from corex_node import reconciler as module
from corex_node.admission import Admission
from corex_node.inbound import Inbound
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.outbox import Outbox
from corex_node.places import Place, own_place
from corex_node.reconciler import Reconciler
from corex_node.records import Acceptance, Filing, Refiling
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket
from corex_shared.keys import Keys
from corex_shared.models import Command
from corex_shared.states import Stage
from tests.helpers.eventually import eventually_async


class _Manager:
    """Has two jobs; `end` lets the first end."""

    node = "n1"

    def __init__(self) -> None:
        self.jobs = {
            name: cast(
                Job,
                SimpleNamespace(
                    id=name,
                    local=False,
                    admitted=True,
                    stage=Stage.RUNNING,
                    command=Command("bash", id=name),
                    origin=Ticket(Source.COMMANDS, number, name),
                ),
            )
            for number, name in enumerate(("ends", "runs"), 1)
        }

    def snapshot(self) -> list[Job]:
        return list(self.jobs.values())

    def end(self) -> None:
        self.jobs.pop("ends").stage = Stage.FINISHED


class _Store:
    """Knows of both jobs or of none, and that they are held.

    Or of no holder: then one ends before it has answered.
    """

    def __init__(self, manager: _Manager, *, claimed: bool, held: bool = False) -> None:
        self._manager = manager
        self._held = held
        self._claimed = claimed
        self.accepted: list[tuple[str, str]] = []
        self.filed: list[str] = []

    def place(self, source: Source, group: str = "") -> Place:
        assert not group
        return own_place(Keys("t"), "n1", "mine", source)

    async def claimed(self, group: str = "") -> dict[bytes, bytes]:
        assert not group
        if self._claimed:
            return {name.encode(): b"running n1/1\n{}" for name in self._manager.jobs}
        return {}

    def remember(self) -> None:
        self._claimed = True

    async def are_held(self, job_ids: Sequence[str]) -> list[bool]:
        if job_ids and not self._held:
            self._manager.end()
        return [self._held for _ in job_ids]

    async def admit(
        self, acceptances: Sequence[Acceptance], filings: Sequence[Filing]
    ) -> list[int]:
        assert not filings
        self.accepted += [(job.job_id, job.stage) for job in acceptances]
        return [1 for _ in acceptances]

    async def refile(self, place: Place, refilings: Sequence[Refiling]) -> None:
        assert not place.group
        self.filed += [refiling.job_id for refiling in refilings]


class _Admission:
    """Knows of no field; takes note of what is to be admitted."""

    def __init__(self) -> None:
        self.admitted: list[str | None] = []

    def known_fields(self, group: str) -> set[str]:
        assert not group
        return set()

    async def reject_again(self) -> None:
        """It has rejected nothing."""

    async def admit(self, batch: Sequence[Inbound]) -> None:
        self.admitted += [inbound.job_id for inbound in batch]


class _Outbox:
    """Has so many ends to tell again, each time."""

    ledger = ()

    def __init__(self, ends: int = 0) -> None:
        self._ends = ends

    def tell_again(self) -> int:
        return self._ends

    def release(self, held: object) -> None:
        pass


def _reconciler(
    store: _Store, manager: _Manager, admission: _Admission, outbox: _Outbox
) -> Reconciler:
    return Reconciler(
        cast(NodeStore, store),
        cast(ProcessManager, manager),
        cast(Admission, admission),
        cast(Outbox, outbox),
        1024,
    )


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "forgotten"])
async def test_what_has_ended_is_not_accepted_again(claimed: bool) -> None:
    """It would be taken for finished, and its result, which is on its way, be refused."""
    manager = _Manager()
    store = _Store(manager, claimed=claimed)
    reconciler = _reconciler(store, manager, _Admission(), _Outbox())
    running = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(reconciler.compare(), 5)
    running.cancel()
    jobs = ["runs"] if claimed else ["ends", "runs"]
    assert store.accepted == [(job, "running") for job in jobs]
    assert store.filed == jobs


class _Unknown(_Store):
    """Has forgotten the jobs that the manager has, and holds one that it has not."""

    async def claimed(self, group: str = "") -> dict[bytes, bytes]:
        return {b"given-back": b'claimed n1/7\n{"id": "given-back", "command": "bash"}'}


@pytest.mark.parametrize("stopping", [False, True])
async def test_what_is_given_back_is_not_taken_up_again(stopping: bool) -> None:
    """What is claimed and unknown is adopted, but by an agent that stops; its jobs stay its own."""
    manager, admission = _Manager(), _Admission()
    store = _Unknown(manager, claimed=False)
    reconciler = _reconciler(store, manager, admission, _Outbox())
    reconciler.is_quiet = lambda: stopping
    running = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(reconciler.compare(), 5)
    running.cancel()
    assert admission.admitted == ([] if stopping else ["given-back"])
    assert store.filed == ["ends", "runs"]


async def test_who_waits_for_it_to_settle_waits_for_all_that_is_suspected() -> None:
    """Nothing is given back while a comparison is under way."""
    manager = _Manager()
    store = _Store(manager, claimed=False)
    reconciler = _reconciler(store, manager, _Admission(), _Outbox())
    running = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(reconciler.settled(), 5)  # nothing is
    reconciler.suspect()
    await asyncio.wait_for(reconciler.settled(), 5)
    assert store.filed == ["ends", "runs"]
    running.cancel()


async def _break(reconciler: Reconciler, store: _Store) -> None:
    """Have a break noticed five times over."""
    for _ in range(5):
        await asyncio.wait_for(reconciler.compare(), 5)
        store.remember()


def _told(entries: Sequence[Mapping[str, object]]) -> list[tuple[object, ...]]:
    """Counts of what is logged of breaks."""
    names = ("log_level", "told_again", "adopted", "claimed_again")
    told = [entry for entry in entries if entry["event"] == "node.reconciled"]
    return [tuple(entry[name] for name in names) for entry in told]


def _has_told(entries: Sequence[Mapping[str, object]], count: int) -> bool:
    return len(_told(entries)) >= count


async def test_each_break_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that was done for it, however often it was noticed."""
    monkeypatch.setattr(module, "_CALM", 0.02)
    manager = _Manager()
    store = _Store(manager, claimed=False, held=True)
    reconciler = _reconciler(store, manager, _Admission(), _Outbox(3))
    with capture_logs() as entries:
        running = asyncio.create_task(reconciler.run())
        for count in (1, 2):
            await _break(reconciler, store)
            await eventually_async(partial(_has_told, entries, count), "it is told")
        running.cancel()
        await asyncio.wait({running})
    assert _told(entries) == [("info", 3, 0, 2), ("info", 3, 0, 0)]


@pytest.mark.parametrize("ends", [0, 3])
async def test_what_a_break_has_cost_is_told_by_an_agent_that_ends(ends: int) -> None:
    """At once; if it has cost nothing, there is nothing to say."""
    manager = _Manager()
    store = _Store(manager, claimed=True, held=True)
    reconciler = _reconciler(store, manager, _Admission(), _Outbox(ends))
    with capture_logs() as entries:
        running = asyncio.create_task(reconciler.run())
        await _break(reconciler, store)
        assert _told(entries) == []
        running.cancel()
        await asyncio.wait({running})
    assert _told(entries) == ([("info", 3, 0, 0)] if ends else [])
