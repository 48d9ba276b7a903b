"""Jobs that end while what Redis holds is compared, with a store and a manager that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from corex_node.admission import Admission
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
    """Knows of both jobs or of none, and of no holder; one ends before it has answered."""

    def __init__(self, manager: _Manager, *, claimed: bool) -> None:
        self._manager = manager
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

    async def are_held(self, job_ids: Sequence[str]) -> list[bool]:
        if job_ids:
            self._manager.end()
        return [False for _ in job_ids]

    async def admit(
        self, acceptances: Sequence[Acceptance], filings: Sequence[Filing]
    ) -> list[int]:
        assert not filings
        self.accepted += [(job.job_id, job.stage) for job in acceptances]
        return [1 for _ in acceptances]

    async def refile(self, place: Place, refilings: Sequence[Refiling]) -> None:
        assert not place.group
        self.filed += [refiling.job_id for refiling in refilings]


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "forgotten"])
async def test_what_has_ended_is_not_accepted_again(claimed: bool) -> None:
    """It would be taken for finished, and its result, which is on its way, be refused."""
    manager = _Manager()
    store = _Store(manager, claimed=claimed)
    known: set[str] = set()
    outbox = SimpleNamespace(tell_again=lambda: 0, ledger=(), release=lambda held: None)
    admission = SimpleNamespace(known_fields=lambda group: known)
    reconciler = Reconciler(
        cast(NodeStore, store),
        cast(ProcessManager, manager),
        cast(Admission, admission),
        cast(Outbox, outbox),
        1024,
    )
    running = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(reconciler.compare(), 5)
    running.cancel()
    jobs = ["runs"] if claimed else ["ends", "runs"]
    assert store.accepted == [(job, "running") for job in jobs]
    assert store.filed == jobs
