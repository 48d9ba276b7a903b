"""Commands that were claimed and never started go back to where they came from."""

from __future__ import annotations

from typing import cast

import structlog

from corex_node.manager.manager import ProcessManager
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket

_log = structlog.get_logger()


async def give_back_unstarted(store: NodeStore, manager: ProcessManager, known: set[str]) -> None:
    """Give back what has not started, in the order of the claims, and forget it.

    To be called when the node is quiet and nothing is being admitted.

    Args:
        store: Redis.
        manager: of the jobs.
        known: fields of the claimed hash that belong to commands which were admitted.

    Raises:
        StoreError: Redis cannot be reached; what is not given back stays claimed and is found by
            the next agent of the node.
        LeaseLostError: the commands are another agent's.
    """
    for source in Source:
        waiting = [
            (cast("Ticket", job.origin), job)
            for job in manager.unstarted()
            if cast("Ticket", job.origin).source is source
        ]
        unfiled = await _unfiled(store, source, known)
        if not waiting and not unfiled:
            continue
        for _, job in waiting:
            manager.withdraw(job)
        if waiting:
            await store.forget([job.id for _, job in waiting])
        numbered = [(ticket.number, ticket.field) for ticket, _ in waiting]
        numbered += [(number, f"{source.value}{number}") for number in unfiled]
        await store.give_back(source, [field for _, field in sorted(numbered)])
        _log.info("node.gave_back", source=source.name, count=len(numbered))


async def _unfiled(store: NodeStore, source: Source, known: set[str]) -> list[int]:
    """Numbers of claims that were never admitted: the answer to their claim came too late."""
    prefix = source.value.encode()
    return [
        int(field[1:])
        for field in await store.claimed()
        if field.startswith(prefix) and field.decode() not in known
    ]
