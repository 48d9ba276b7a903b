"""What `corex run` and `corex sh` are to do."""

from __future__ import annotations

from dataclasses import dataclass

from corex_shared.models import Command


@dataclass(frozen=True, slots=True)
class Launch:
    """What is to be run, where and how.

    Attributes:
        target: as it was given.
        command: what its nodes run.
        timeout: seconds that the run may take.
        batch: nodes that run at once; None for all.
        canary: nodes that run alone first; None for none.
        max_failures: nodes that may fail; None for all.
        as_json: print one JSON object for each node in place of live output.
        raw: pass output on as it is, to a terminal too.
    """

    target: str
    command: Command
    timeout: float
    batch: int | None = None
    canary: int | None = None
    max_failures: int | None = None
    as_json: bool = False
    raw: bool = False
