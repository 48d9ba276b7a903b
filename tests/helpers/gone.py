"""What a node leaves that is gone, made by hand: as an agent writes it, as much as is wanted."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable

from tests.helpers.wire import Wire

HOUR_MS = 3_600_000
_numbers = itertools.count(1_000_000)


def now_ms() -> int:
    """The time in ms since the epoch."""
    return time.time_ns() // 1_000_000


def list_as_gone(wire: Wire, node: str = "n1", ago_ms: int = HOUR_MS) -> None:
    """Have a node listed that was seen last some time ago."""
    wire.redis.zadd(wire.keys.nodes(), {node: now_ms() - ago_ms})


def leave_filed(wire: Wire, stage: str, payloads: Iterable[bytes], node: str = "n1") -> list[str]:
    """Have commands claimed and filed at a stage; return their job IDs."""
    keys, jobs = wire.keys, []
    pipeline = wire.redis.pipeline(transaction=False)
    for payload in payloads:
        job, claim = json.loads(payload)["id"], f"{node}/{next(_numbers)}"
        header = f"{stage} {claim}\n".encode()
        state = {"node": node, "claim": claim, "holder": "gone", "stage": stage, "claimed": 1}
        pipeline.hset(keys.claimed(node), job, header + payload)
        pipeline.hset(keys.state(job), mapping=state)
        jobs.append(job)
    pipeline.execute()
    return jobs


def leave_unfiled(
    wire: Wire, payloads: Iterable[bytes], prefix: str = "@", node: str = "n1"
) -> list[bytes]:
    """Have payloads claimed of which nothing else is known; return their fields."""
    entries = {f"{prefix}{next(_numbers)}": payload for payload in payloads}
    wire.redis.hset(wire.keys.claimed(node), mapping=entries)
    return [field.encode() for field in entries]
