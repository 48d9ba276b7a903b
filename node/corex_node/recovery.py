"""What a predecessor of this agent left claimed is settled before anything new is claimed.

* Claimed and not started: started now, in the order of the claims.
* Running when the predecessor died: LOST, or run again if the command says so; unless its result
  was written, then only the claim is forgotten.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from corex_node import inbound
from corex_node.admission import Admission
from corex_node.inbound import Inbound
from corex_node.places import Place
from corex_node.process.cgroup import end_cgroups
from corex_node.process.leftovers import end_leftovers
from corex_node.store import NodeStore
from corex_node.ticket import Source
from corex_shared.states import Stage

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Left:
    """One entry of the claimed hash, taken apart."""

    field: str
    source: Source
    number: int
    payload: bytes
    was: Stage
    node: str = ""


def parse_entry(field: bytes, value: bytes) -> Left | None:
    """Take an entry apart; None when it is not of a form that an agent writes.

    The forms are described in lua/claim.lua (`<prefix><number>` → payload) and lua/stage.lua
    (`<job ID>` → `<stage> <node>/<number>`, newline, payload).
    """
    try:
        for source in Source:
            if field.startswith(source.value.encode()):
                name = field.decode()
                node, _, number = name[1:].rpartition("/")
                return Left(name, source, int(number), value, Stage.CLAIMED, node)
        header, _, payload = value.partition(b"\n")
        stage, _, claim = header.decode().partition(" ")
        node, _, number = claim.rpartition("/")
        return Left(field.decode(), Source.COMMANDS, int(number), payload, Stage(stage), node)
    except ValueError:
        return None


async def recover(
    store: NodeStore,
    admission: Admission,
    scope: str,
    payload_limit: int,
    place: Place | None = None,
) -> int:
    """Settle all that is claimed; return how many commands that were.

    Nothing is said of a job, or run again, before its processes are gone.

    Args:
        store: Redis.
        admission: settles it.
        scope: of the node's jobs on this machine.
        payload_limit: largest command, in bytes.
        place: that of a group, whose hash has commands of other nodes too, and perhaps of this
            agent itself; None for the node's own hash.

    Raises:
        StoreError: Redis cannot be reached; nothing is lost, call again.
        LeaseLostError: another agent serves the node.
        GroupLostError: the node no longer takes part in the group.
    """
    left = await _left_at(store, admission, place)
    await _end_processes(scope, left)
    group = place.group if place is not None else ""
    return await settle_left(store, admission, left, payload_limit, group)


async def _left_at(store: NodeStore, admission: Admission, place: Place | None) -> list[Left]:
    if place is None:
        return read_entries(await store.claimed())
    known = admission.known_fields(place.group)
    found = read_entries(await store.claimed(place.group), place)
    return [entry for entry in found if entry.field not in known]


async def settle_left(
    store: NodeStore, admission: Admission, left: list[Left], payload_limit: int, group: str
) -> int:
    """Settle entries of a claimed hash whose processes are gone; return how many there were.

    Raises:
        StoreError: Redis cannot be reached; nothing is lost, call again.
        LeaseLostError: another agent serves the node.
        GroupLostError: the node no longer takes part in the group.
    """
    batch = [inbound_of(entry, payload_limit, group) for entry in left]
    await number_on(store, batch)
    if batch:
        await admission.admit(batch)
    return len(batch)


def read_entries(found: dict[bytes, bytes], place: Place | None = None) -> list[Left]:
    """Take entries of a claimed hash apart, in the order of their claims.

    Args:
        found: the hash.
        place: that of a group, of whose hash only the node's own entries count; None for the
            node's own hash.
    """
    left: list[Left] = []
    for field, value in found.items():
        entry = parse_entry(field, value)
        if entry is not None and (place is not None or "/" not in entry.field):
            left.append(entry)
        elif place is None:
            _log.error("recovery.unreadable", field=field.decode("utf-8", "backslashreplace"))
    if place is not None:
        left = [entry for entry in left if f"{entry.node}/" == place.owner]
    left.sort(key=lambda entry: entry.number)
    return left


async def _end_processes(scope: str, left: list[Left]) -> None:
    """End what processes of jobs that ran are left: few are, since spawners outlive their agent."""
    ran = {entry.field for entry in left if entry.was is not Stage.CLAIMED}
    if not ran:
        return
    await asyncio.to_thread(end_cgroups)
    survivors = await asyncio.to_thread(end_leftovers, scope, ran)
    if survivors:
        _log.error("recovery.survivors", count=survivors)


async def number_on(store: NodeStore, items: Sequence[Inbound]) -> None:
    """Have the messages of jobs numbered after those that they have had.

    Raises:
        StoreError: Redis cannot be reached.
    """
    streaming = [item for item in items if item.ticket.streams and item.job_id]
    if streaming:
        seqs = await store.last_entries([item.job_id or "" for item in streaming])
        for item, seq in zip(streaming, seqs, strict=True):
            item.ticket.seq = seq


def inbound_of(entry: Left, payload_limit: int = sys.maxsize, group: str = "") -> Inbound:
    """Read the command of an entry.

    Args:
        entry: of a claimed hash.
        payload_limit: largest size in bytes; none for those who only settle what others claimed.
        group: whose hash it is, empty for a node's.
    """
    return inbound.read(
        entry.payload, entry.source, entry.number, payload_limit, entry.field, entry.was, group
    )
