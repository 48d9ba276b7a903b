"""Commands that were claimed and never started go back to where they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import structlog

from corex_node.faults import FAULTS, GAVE_BACK
from corex_node.manager.manager import ProcessManager
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket

_log = structlog.get_logger()


async def give_back_unstarted(
    store: NodeStore, manager: ProcessManager, known: Callable[[], set[str]]
) -> None:
    """Give back what has not started, in the order of the claims, and forget it.

    To be called when the node is quiet and nothing is being admitted.

    Args:
        store: Redis.
        manager: of the jobs.
        known: tells the fields of the claimed hash that belong to commands which were admitted.

    Raises:
        StoreError: Redis cannot be reached; what is not given back stays claimed and is found by
            the next agent of the node.
        LeaseLostError: the commands are another agent's.
    """
    found = await store.claimed()
    # From here to the last withdrawal nothing is awaited: what has not started, does not start.
    fields: dict[Source, list[tuple[int, str]]] = {source: [] for source in Source}
    admitted = known()
    for field in (name.decode() for name in found):
        for source in Source:
            if field.startswith(source.value) and field not in admitted:
                fields[source].append((int(field[1:]), field))
    withdrawn = manager.unstarted()
    for job in withdrawn:
        ticket = cast("Ticket", job.origin)
        fields[ticket.source].append((ticket.number, ticket.field))
        manager.withdraw(job)
    if withdrawn:
        await store.forget([job.id for job in withdrawn])
    for source, numbered in fields.items():
        if numbered:
            await store.give_back(source, [field for _, field in sorted(numbered)])
            FAULTS.reach(GAVE_BACK)
            _log.info("node.gave_back", source=source.name, count=len(numbered))
