"""What Redis remembers of a run: its record, written once, and its journal, which grows.

Pure. Whatever is read here may have been written by somebody else: a record that makes no sense is
an error that names the field, an entry of the journal that makes none is passed over, so that its
node is asked itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from corex.fleet.outcome import Outcome, cut
from corex.fleet.schedule import Bounds
from corex.targets import group_of
from corex_shared.errors import ConfigError, CorexError, DecodeError
from corex_shared.identifiers import check_id
from corex_shared.models import Command, Count, Identifier

MOST_NODES = 100_000
"""Nodes of one run."""


class RunRecord(Struct, frozen=True):
    """What a run is; nothing of it ever changes.

    Attributes:
        id: of the run.
        command: what its nodes run.
        nodes: their IDs, in order; `@` and a group for any one node of it.
        encoding: how commands are written.
        timeout: seconds that the run may take.
        started: when it began, in ms since the epoch, by the server's time.
        by: client that began it.
        batch: see `Bounds`.
        canary: see `Bounds`.
        max_failures: see `Bounds`.
    """

    id: Identifier
    command: Command
    nodes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_NODES)]
    encoding: Literal["msgpack", "json"]
    timeout: Annotated[float, Meta(ge=0, le=1e9)]
    started: Count
    by: Identifier
    batch: int | None = None
    canary: int | None = None
    max_failures: int | None = None

    @property
    def bounds(self) -> Bounds:
        """The bounds of the run."""
        return Bounds(self.batch, self.canary, self.max_failures)

    @property
    def ends(self) -> int:
        """When its time is up, in ms since the epoch, by the server's time."""
        return self.started + math.ceil(self.timeout * 1000)

    def job(self, index: int) -> str:
        """ID of the job of a node: always the same, so that pushing it twice is harmless."""
        return f"{self.id}.{index}"


class Mark(Struct, frozen=True):
    """Says that a node's command is about to be pushed; written before it is.

    Attributes:
        by: client that pushes it, and hears of it.
        at: when, in ms since the epoch, by the server's time as far as the client knew it.
    """

    by: Identifier
    at: Count


class Entry(Struct, frozen=True, omit_defaults=True):
    """One entry of a journal.

    Attributes:
        index: number of the node.
        mark: it is being started.
        outcome: what became of it; its result may be cut.
        cut: whether it is.
    """

    index: Count
    mark: Mark | None = None
    outcome: Outcome | None = None
    cut: bool = False


_record_decoder = msgspec.msgpack.Decoder(RunRecord)
_entry_decoder = msgspec.msgpack.Decoder(Entry)
_encoder = msgspec.msgpack.Encoder()


def encode_record(record: RunRecord) -> bytes:
    """Write a record.

    Raises:
        DecodeError: the command's arguments have no form on the wire.
    """
    try:
        return _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DecodeError("arguments", str(error)) from error


def decode_record(run: str, payload: bytes) -> RunRecord:
    """Read a record.

    Raises:
        DecodeError: it is none, or not of this run; the error says so and names the field.
    """
    where = f"record of run {run}"
    try:
        record = _record_decoder.decode(payload)
        _check(run, record)
    except (msgspec.MsgspecError, CorexError, ValueError, RecursionError) as error:
        raise DecodeError(where, str(error)) from error
    return record


def _check(run: str, record: RunRecord) -> None:
    if record.id != run:
        raise DecodeError("id", "it is of another run")
    if len(set(record.nodes)) < len(record.nodes):
        raise DecodeError("nodes", "one is there twice")
    for node in record.nodes:
        if group_of(node) is None:
            check_id("node", node)
    try:
        _ = record.bounds
    except ConfigError as error:
        raise DecodeError(error.key, error.reason) from error


def mark_entry(index: int, mark: Mark) -> bytes:
    """Write that a node is being started."""
    return _encoder.encode(Entry(index, mark=mark))


def outcome_entry(index: int, outcome: Outcome) -> bytes:
    """Write what became of a node; of a large result its end."""
    short = cut(outcome)
    return _encoder.encode(Entry(index, outcome=short, cut=short is not outcome))


def read_entries(record: RunRecord, payloads: Sequence[Any]) -> list[Entry]:
    """Read entries of a journal, leaving out those that make no sense."""
    return [entry for payload in payloads if (entry := _read_entry(record, payload)) is not None]


def _read_entry(record: RunRecord, payload: Any) -> Entry | None:
    try:
        entry = _entry_decoder.decode(payload)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return None
    if entry.index >= len(record.nodes):
        return None
    outcome = entry.outcome
    if outcome is not None and outcome.node != record.nodes[entry.index]:
        return None
    return entry
