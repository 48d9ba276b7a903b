"""What happens in a run, as whoever waits for it is told."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from corex.fleet.outcome import Outcome
from corex_shared.models import Message


class Started(Struct, frozen=True):
    """A node has its turn.

    Attributes:
        node: the node, or `@` and a group, as the run's `nodes` have it.
        job: ID of its job.
    """

    node: str
    job: str


class Note(Struct, frozen=True):
    """Something that people who wait may want to know.

    Attributes:
        text: one line, without the end of the line.
    """

    text: str


Event: TypeAlias = Started | Message | Outcome | Note
"""One thing that happens in a run. A message is one that a job wrote, or a `corex.Gap`; it comes
before the outcome of its node."""
