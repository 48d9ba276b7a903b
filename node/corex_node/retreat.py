"""Commands that were claimed and never started go back to where they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import structlog

from corex_node.faults import FAULTS, GAVE_BACK
from corex_node.manager.jobs import Job
from corex_node.manager.manager import ProcessManager
from corex_node.places import Place
from corex_node.records import Held
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket
from corex_shared.errors import GroupLostError, StoreRefusedError

_log = structlog.get_logger()


async def give_back_unstarted(
    store: NodeStore,
    manager: ProcessManager,
    known: Callable[[str], set[str]],
    groups: Sequence[str] = (),
) -> None:
    """Give back what has not started, in the order of the claims, and forget it.

    To be called when the node is quiet and nothing is being admitted.

    Args:
        store: Redis.
        manager: of the jobs.
        known: tells the fields of a claimed hash (of a group, or the node's own: an empty name)
            that belong to commands which were admitted.
        groups: that the node takes part in.

    Raises:
        StoreError: Redis cannot be reached; what is not given back stays claimed and is found by
            the next agent of the node.
        LeaseLostError: the commands are another agent's.
    """
    places = [store.place(source) for source in Source]
    places += [store.place(Source.COMMANDS, group) for group in groups]
    found = {"": await store.claimed()}
    found.update({group: await _claimed(store, group) for group in groups})
    # From here to the last withdrawal nothing is awaited: what has not started, does not start.
    admitted = {group: known(group) for group in found}
    given: dict[Place, list[tuple[int, Held]]] = {
        place: [
            (int(field[len(place.prefix) :]), Held(place.group, field))
            for field in _unfiled(found[place.group], place)
            if field not in admitted[place.group]
        ]
        for place in places
    }
    # What is still being admitted (the wait for that is bounded) stays claimed: it may be accepted
    # when it is back on its list, and then nobody could take it from there.
    withdrawn = [
        job for job in manager.unstarted() if job.admitted and _place_of(store, job) in given
    ]
    for job in withdrawn:
        ticket = cast("Ticket", job.origin)
        claim = ticket.claim(manager.node) if ticket.group else ""
        held = Held(ticket.group, ticket.field, claim)
        given[_place_of(store, job)].append((ticket.number, held))
        manager.withdraw(job)
    if withdrawn:
        await store.forget([job.id for job in withdrawn])
    for place, numbered in given.items():
        if numbered:
            await _give_back(store, place, [held for _, held in sorted(numbered, key=_number)])


async def _claimed(store: NodeStore, group: str) -> dict[bytes, bytes]:
    """Read the hash of a group; one that is none is in nobody's way."""
    try:
        return await store.claimed(group)
    except StoreRefusedError as error:
        _log.warning("node.gave_nothing_back", source=f"@{group}", reason=str(error))
        return {}


def _unfiled(found: Iterable[bytes], place: Place) -> list[str]:
    return [name for field in found if (name := field.decode()).startswith(place.prefix)]


def _place_of(store: NodeStore, job: Job) -> Place:
    ticket = cast("Ticket", job.origin)
    return store.place(ticket.source, ticket.group)


def _number(numbered: tuple[int, Held]) -> int:
    return numbered[0]


async def _give_back(store: NodeStore, place: Place, held: list[Held]) -> None:
    try:
        await store.give_back(place, held)
    except (GroupLostError, StoreRefusedError) as error:
        if not place.group:
            raise
        _log.warning("node.gave_nothing_back", source=place.name, reason=str(error))
        return
    FAULTS.reach(GAVE_BACK)
    _log.info("node.gave_back", source=place.name, count=len(held))
