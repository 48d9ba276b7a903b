"""What a predecessor of this agent left claimed is settled before anything new is claimed.

* Claimed and not started: started now, in the order of the claims.
* Running when the predecessor died: LOST, or run again if the command says so; unless its result
  was written, then only the claim is forgotten.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from corex_node import inbound
from corex_node.admission import Admission
from corex_node.inbound import Inbound
from corex_node.process.cgroup import end_cgroups
from corex_node.process.leftovers import end_leftovers
from corex_node.store import NodeStore
from corex_node.ticket import Source
from corex_shared.states import Stage

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Left:
    """One entry of the claimed hash, taken apart."""

    field: str
    source: Source
    number: int
    payload: bytes
    was: Stage


def parse_entry(field: bytes, value: bytes) -> _Left | None:
    """Take an entry apart; None when it is not of a form that an agent writes.

    The forms are described in lua/claim.lua (`<prefix><number>` → payload) and lua/stage.lua
    (`<job ID>` → `<stage> <node>/<number>`, newline, payload).
    """
    try:
        for source in Source:
            if field.startswith(source.value.encode()):
                return _Left(field.decode(), source, int(field[1:]), value, Stage.CLAIMED)
        header, _, payload = value.partition(b"\n")
        stage, _, claim = header.decode().partition(" ")
        number = int(claim.rpartition("/")[2])
        return _Left(field.decode(), Source.COMMANDS, number, payload, Stage(stage))
    except ValueError:
        return None


async def recover(store: NodeStore, admission: Admission, scope: str, payload_limit: int) -> int:
    """Settle all that is claimed; return how many commands that were.

    Nothing is said of a job, or run again, before its processes are gone.

    Raises:
        StoreError: Redis cannot be reached; nothing is lost, call again.
        LeaseLostError: another agent serves the node.
    """
    found = await store.claimed()
    await _end_processes(scope, _read(found))
    return await settle_left(store, admission, found, payload_limit)


async def settle_left(
    store: NodeStore, admission: Admission, found: dict[bytes, bytes], payload_limit: int
) -> int:
    """Settle entries of the claimed hash whose processes are gone; return how many there were.

    Raises:
        StoreError: Redis cannot be reached; nothing is lost, call again.
        LeaseLostError: another agent serves the node.
    """
    left = _read(found)
    batch = [_inbound(entry, payload_limit) for entry in left]
    await _number_on(store, [item for item in batch if item.ticket.streams and item.job_id])
    if batch:
        await admission.admit(batch)
    return len(batch)


def _read(found: dict[bytes, bytes]) -> list[_Left]:
    """Take entries apart; in the order of their claims."""
    left: list[_Left] = []
    for field, value in found.items():
        entry = parse_entry(field, value)
        if entry is None:
            _log.error("recovery.unreadable", field=field.decode("utf-8", "backslashreplace"))
        else:
            left.append(entry)
    left.sort(key=lambda entry: entry.number)
    return left


async def _end_processes(scope: str, left: list[_Left]) -> None:
    """End what processes of jobs that ran are left: few are, since spawners outlive their agent."""
    ran = {entry.field for entry in left if entry.was is not Stage.CLAIMED}
    if not ran:
        return
    await asyncio.to_thread(end_cgroups)
    survivors = await asyncio.to_thread(end_leftovers, scope, ran)
    if survivors:
        _log.error("recovery.survivors", count=survivors)


async def _number_on(store: NodeStore, streaming: list[Inbound]) -> None:
    """Have the messages of jobs that have had some numbered on."""
    if streaming:
        seqs = await store.last_entries([item.job_id or "" for item in streaming])
        for item, seq in zip(streaming, seqs, strict=True):
            item.ticket.seq = seq


def _inbound(entry: _Left, payload_limit: int) -> Inbound:
    return inbound.read(
        entry.payload, entry.source, entry.number, payload_limit, entry.field, entry.was
    )
