"""Several nodes of one fleet, and queues that they share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.eventually import eventually
from tests.helpers.wire import Wire

QUICK_LEASES = {
    "COREX_NODE_LIMITS_LEASE": "2",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.5",
    "COREX_NODE_LIMITS_RESTART_FIRST": "0.05",
    "COREX_NODE_LIMITS_REAP": "0",
}
"""Settings of nodes whose end is noticed soon, and whose jobs nobody else settles."""


class Run(NamedTuple):
    """What a job wrote when it ran: its token, and the lines at which it began and ended.

    `end` is -1 when it has not, or was killed.
    """

    job: str
    token: int
    begin: int
    end: int


class Trace:
    """A file to which jobs write when they begin and when they end."""

    def __init__(self, path: Path) -> None:
        """Begin empty."""
        self.path = path
        path.touch()

    def script(self, work: str = "sleep 0.01") -> str:
        """Write a script for `sh` that notes its beginning and its end around some work."""
        file = shlex.quote(str(self.path))
        note = f'"$COREX_JOB_ID" "$COREX_FENCING_TOKEN" >> {file}'
        return f"echo begin {note}; {work}; echo end {note}"

    def runs(self) -> list[Run]:
        """All runs, in the order of their beginnings."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        ends = {(job, token): at for at, (what, job, token) in enumerate(lines) if what == "end"}
        return [
            Run(job, int(token), at, ends.get((job, token), -1))
            for at, (what, job, token) in enumerate(lines)
            if what == "begin"
        ]

    def began(self, job: str) -> bool:
        """Whether a job has begun."""
        return any(run.job == job for run in self.runs())


def waiters(wire: Wire, queue: str) -> list[str]:
    """Read who waits for a queue, each as `<node>/<job>`."""
    entries = wire.redis.lrange(wire.keys.queue_waiters(queue), 0, -1)
    return [entry.decode() for entry in entries]


def owner(wire: Wire, queue: str) -> dict[str, str]:
    """Read who holds a queue."""
    found = wire.redis.hgetall(wire.keys.queue_owner(queue))
    return {name.decode(): value.decode() for name, value in found.items()}


@contextmanager
def own_queue(wire: Wire) -> Iterator[str]:
    """A queue of one test alone; it must be free in the end."""
    name = f"q-{wire.new_id()}"
    yield name
    eventually(lambda: not owner(wire, name) and not waiters(wire, name), "it is free")


def push(wire: Wire, node: str, queue: str, script: str, **fields: Any) -> str:
    """Push a script for a queue of the fleet; return its ID."""
    return wire.script(script, node=node, queue=queue, queue_scope="fleet", **fields)


def push_in_order(
    wire: Wire, queue: str, nodes: Iterable[str], script: Callable[[], str], **fields: Any
) -> list[str]:
    """Push one script a node, each when the one before stands in line or holds the queue."""
    jobs = []
    for node in nodes:
        job = push(wire, node, queue, script(), **fields)
        eventually(lambda job=job: has_entered(wire, queue, job), f"{job} has entered")  # type: ignore[misc]
        jobs.append(job)
    return jobs


def has_entered(wire: Wire, queue: str, job: str) -> bool:
    """Whether a job stands in line, or holds the queue, or has ended already."""
    if any(entry.endswith(f"/{job}") for entry in waiters(wire, queue)):
        return True
    return owner(wire, queue).get("job") == job or "state" in wire.state(job)
