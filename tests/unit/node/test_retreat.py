"""What an agent gives back as it stops, with a store and a manager that are none."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.places import Place, own_place
from corex_node.records import Held
from corex_node.retreat import give_back_unstarted
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket
from corex_shared.keys import Keys


class _Store:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.given: list[str] = []

    def place(self, source: Source, group: str = "") -> Place:
        assert not group
        return own_place(Keys("t"), "n1", "mine", source)

    async def claimed(self, group: str = "") -> dict[bytes, bytes]:
        assert not group
        return {b"@2": b"{}"}

    async def forget(self, job_ids: Sequence[str]) -> None:
        self.forgotten += job_ids

    async def give_back(self, place: Place, held: Sequence[Held]) -> None:
        del place
        self.given += [command.field for command in held]


class _Manager:
    """Has one job that was admitted, and one that still is being."""

    node = "n1"

    def __init__(self) -> None:
        self.jobs = [
            cast(Job, SimpleNamespace(id=job, admitted=admitted, origin=ticket))
            for job, admitted, ticket in (
                ("a", True, Ticket(Source.COMMANDS, 1, "a")),
                ("b", False, Ticket(Source.COMMANDS, 2, "@2")),
            )
        ]
        self.withdrawn: list[str] = []

    def unstarted(self) -> list[Job]:
        return self.jobs

    def withdraw(self, job: Job) -> None:
        self.withdrawn.append(job.id)


async def test_what_is_being_admitted_still_stays_claimed() -> None:
    """On its list it could be accepted under a claim that is no more: then nobody could take it."""
    store, manager = _Store(), _Manager()
    known: Any = {"a", "@2"}
    await give_back_unstarted(
        cast(NodeStore, store), cast(ProcessManager, manager), lambda group: known
    )
    assert (manager.withdrawn, store.forgotten, store.given) == (["a"], ["a"], ["a"])
