"""What is written to Redis of a command, step by step, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A job to be accepted: its ID, its claim's name, the stage that clients see."""

    job_id: str
    claim: str
    stage: str


@dataclass(frozen=True, slots=True)
class Filing:
    """A claimed command to be filed under its job ID, or one filed that has a new stage."""

    field: str
    job_id: str
    claim: str
    stage: str


@dataclass(frozen=True, slots=True)
class Finish:
    """A job's end, ready to be written; all payloads encoded, '' for what there is none of."""

    job_id: str
    reply_to: str | None
    result: bytes
    state: str
    hint: bytes
    message: bytes
    seq: int
    streams: bool
    to_node_log: bool


@dataclass(frozen=True, slots=True)
class Emission:
    """Messages of one job for its log and channel: (seq, payload), and the lowest seq kept."""

    job_id: str
    first_kept: int
    messages: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A claimed payload that is not taken: where it is claimed, and its entry in the list."""

    field: str
    job_id: str
    claim: str
    entry: bytes
