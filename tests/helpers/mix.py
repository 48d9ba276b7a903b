"""The kinds of commands that a load is mixed of; each knows what may come of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.helpers.orders import Order
from tests.helpers.trace import Trace

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Push:
    """A command, ready to be pushed.

    Attributes:
        order: what may come of it.
        command: its name.
        arguments: its arguments.
        fields: more of its fields.
        control: whether it goes past the backlog.
    """

    order: Order
    command: str
    arguments: Fields | None = None
    fields: Mapping[str, Any] | None = None
    control: bool = False


class Mix:
    """Makes commands of random kinds."""

    def __init__(self, rng: random.Random, trace: Trace, queues: int = 2) -> None:
        """Choose by a source of chance; jobs write to a trace."""
        self._rng = rng
        self._trace = trace
        self._queues = queues
        self._endless = 0
        self._kinds: dict[str, tuple[int, Callable[[str], Push]]] = {
            "quick": (26, self._quick),
            "in-time": (4, self._in_time),
            "long": (8, self._long),
            "queued": (30, self._queued),
            "stream": (12, self._stream),
            "failing": (4, self._failing),
            "restart": (3, self._restart),
            "retry": (8, self._retry),
            "timeout": (1, self._timeout),
            "ping": (5, self._ping),
            "unknown": (2, self._unknown),
            "expired": (2, self._expired),
            "endless": (2, self._endless_one),
            "recurring": (1, self._recurring),
        }

    def weigh(self, **weights: int) -> None:
        """Change how often kinds are chosen."""
        for kind, weight in weights.items():
            self._kinds[kind] = (weight, self._kinds[kind][1])

    def add(self, kind: str, weight: int, make: Callable[[str], Push]) -> None:
        """Add a kind."""
        self._kinds[kind] = (weight, make)

    def choose(self, job: str) -> Push:
        """Make the next command."""
        names = list(self._kinds)
        kind = self._rng.choices(names, [self._kinds[name][0] for name in names])[0]
        return self.make(kind, job)

    def make(self, kind: str, job: str) -> Push:
        """Make a command of one kind."""
        return self._kinds[kind][1](job)

    def _script(self, order: Order, body: str = "", lock: str | None = None, **more: Any) -> Push:
        return Push(order, "bash", {"script": self._trace.script(body, lock=lock)}, more)

    def _quick(self, job: str) -> Push:
        return self._script(Order(job, "quick"))

    def _in_time(self, job: str) -> Push:
        """Make one whose time is over in an hour: it must run now."""
        expires_at = (time.time_ns() // 1_000_000) + 3_600_000
        return self._script(Order(job, "in-time"), expires_at=expires_at)

    def _long(self, job: str) -> Push:
        return self._script(Order(job, "long"), f"sleep {self._rng.uniform(0.2, 1.2):.2f}")

    def _queued(self, job: str) -> Push:
        queue = f"q{self._rng.randrange(self._queues)}"
        body = f"sleep {self._rng.uniform(0.02, 0.4):.2f}"
        return self._script(Order(job, "queued", queue=queue), body, queue, queue=queue)

    def fleet(self, job: str) -> Push:
        """Make one of a queue of the whole fleet; a kind to be added."""
        push = self._queued(job)
        queue = f"fleet-{push.order.queue}"
        order = replace(push.order, kind="fleet", queue=queue, fleet=True)
        body = f"sleep {self._rng.uniform(0.01, 0.15):.2f}"
        return self._script(order, body, queue, queue=queue, queue_scope="fleet")

    def _stream(self, job: str) -> Push:
        count, pause = self._rng.randrange(1, 40), self._rng.choice(["0", "0", "0.01", "0.05"])
        lines = "".join(f"line {number} of {job}\n" for number in range(count))
        wait = "" if pause == "0" else f"sleep {pause}; "
        body = f"n=0; while [ $n -lt {count} ]; do echo line $n of {job}; {wait}n=$((n+1)); done"
        return self._script(Order(job, "stream", streams=True, output=lines), body, stream=True)

    def _failing(self, job: str) -> Push:
        return self._script(Order(job, "failing", frozenset({"ERROR"})), "exit 7")

    def _restart(self, job: str) -> Push:
        order = Order(job, "restart", frozenset({"ERROR"}), runs=3)
        return self._script(order, "exit 3", job, max_restart=3)

    def _retry(self, job: str) -> Push:
        body = f"sleep {self._rng.uniform(0.1, 1.0):.2f}"
        return self._script(Order(job, "retry", retries=True), body, job, on_lost="retry")

    def rerun(self, job: str) -> Push:
        """Make one that runs again when its agent dies, and takes its time; a kind to be added."""
        body = f"sleep {self._rng.uniform(1.5, 2.5):.2f}"
        return self._script(Order(job, "rerun", retries=True), body, job, on_lost="retry")

    def _timeout(self, job: str) -> Push:
        order = Order(job, "timeout", frozenset({"TIMEOUT"}))
        return self._script(order, "exec sleep 300", max_time=1, grace=1)

    def _ping(self, job: str) -> Push:
        order = Order(job, "ping", runs=None, traced=False)
        return Push(order, "core.ping", control=self._rng.random() < 0.3)

    def _unknown(self, job: str) -> Push:
        return Push(Order(job, "unknown", frozenset({"UNKNOWN_CMD"}), runs=0), "no.such")

    def _expired(self, job: str) -> Push:
        order = Order(job, "expired", frozenset({"EXPIRED"}), runs=0)
        return self._script(order, expires_at=1)

    def _endless_one(self, job: str) -> Push:
        """Make one that somebody will have to kill; few, since each takes a slot until then."""
        self._endless += 1
        if self._endless > 2:
            return self._quick(job)
        order = Order(job, "endless", frozenset({"KILLED"}), endless=True)
        return self._script(order, "exec sleep 300", grace=1)

    def _recurring(self, job: str) -> Push:
        self._endless += 1
        if self._endless > 2:
            return self._quick(job)
        order = Order(job, "recurring", frozenset({"KILLED"}), runs=None)
        order.endless = True
        return self._script(order, "", job, recurring_period=1)
