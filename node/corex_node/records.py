"""What is written to Redis of a command, step by step, as values."""

from __future__ import annotations

from msgspec import Struct


class Acceptance(Struct, frozen=True):
    """A job to be accepted: its ID, its claim's name, the stage that clients see.

    `fresh` says that this incarnation has claimed it itself: nobody else can hold it then, but a
    successor. `group` is that from whose list it came, empty for the node's own.
    """

    job_id: str
    claim: str
    stage: str
    fresh: bool = False
    group: str = ""


class Runs(Struct, frozen=True):
    """How often a job has run that may run several times.

    Attributes:
        begun: runs that were begun.
        failed: of these, how many failed in a row, as `max_restart` counts.
    """

    begun: int = 0
    failed: int = 0


class Filing(Struct, frozen=True):
    """A claimed command to be filed under its job ID, or one filed that has a new stage.

    `runs` is None for a job that runs once.
    """

    field: str
    job_id: str
    claim: str
    stage: str
    group: str = ""
    runs: Runs | None = None


class Emission(Struct, frozen=True):
    """Messages of one job for its log and channel: (seq, payload), and the lowest seq kept."""

    job_id: str
    first_kept: int
    messages: list[tuple[int, bytes]]


class Rejection(Struct, frozen=True):
    """A claimed payload that is not taken: where it is claimed, and its entry in the list."""

    field: str
    job_id: str
    claim: str
    entry: bytes
    group: str = ""


class Refiling(Struct, frozen=True):
    """A command to be filed under its job ID again, with its payload."""

    job_id: str
    claim: str
    stage: str
    payload: bytes
    group: str = ""


class Held(Struct, frozen=True):
    """A command in a claimed hash: that of a group, or the node's own (an empty name).

    Attributes:
        group: whose hash.
        field: in it.
        claim: that the field must be of; empty for any.
    """

    group: str
    field: str
    claim: str = ""
