"""What the outbox keeps of jobs that have ended, with a store that is none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from typing import Any, cast

import pytest

from corex_node.config_tables import EventsTable
from corex_node.events import Events
from corex_node.inbound import Inbound, read
from corex_node.outbox import Outbox, OutboxLimits
from corex_node.store import NodeStore
from corex_node.ticket import Source, Ticket
from corex_shared.finishing import PRESENT, STALE, TAKEN, WRITTEN, Finish
from corex_shared.models import JobResult
from corex_shared.states import JobState

_LIMITS = OutboxLimits(held=1 << 20, high=1 << 20, log_bytes=1 << 20, retention_ms=60_000)


class _Store:
    """Answers all ends alike."""

    def __init__(self, answer: int) -> None:
        self._answer = answer

    async def settle(
        self, emissions: object, messages: object, events: object, ends: Sequence[Finish], *_: Any
    ) -> list[int]:
        return [self._answer for _ in ends]


def _kept() -> list[Inbound]:
    """What came and is in memory; nothing is collected for it."""
    return [found for found in gc.get_objects() if type(found) is Inbound]


@pytest.mark.parametrize("answer", [WRITTEN, PRESENT, STALE, TAKEN])
async def test_what_came_is_forgotten_when_its_end_is_told(answer: int) -> None:
    """At once, and not only when cycles are looked for, which is seldom."""
    gc.collect()
    before = len(_kept())
    events = Events("n1", EventsTable())
    outbox = Outbox(cast(NodeStore, _Store(answer)), "n1", _LIMITS, events)
    rejected: list[int] = []

    async def reject(tickets: list[Ticket]) -> None:
        rejected.extend(len(_kept()) - before for _ in tickets)

    outbox.on_taken = reject
    running = asyncio.create_task(outbox.run())
    inbound = read(b'{"id": "a", "command": "core.ping"}', Source.COMMANDS, 1, 1024)
    inbound.ticket.unaccepted, inbound.ticket.inbound = "n1/1", inbound
    outbox.settle(inbound.ticket, JobResult("a", "core.ping", "n1", JobState.SUCCESS, 0))
    assert len(_kept()) == before + 1
    del inbound
    await asyncio.wait_for(outbox.flushed(), 5)
    running.cancel()
    await asyncio.wait({running})
    assert len(_kept()) == before
    assert rejected == ([1] if answer == TAKEN else [])
