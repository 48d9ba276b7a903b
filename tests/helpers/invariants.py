"""What must hold after a scenario, whatever was done to agents, Redis and the network.

Read from outside: from Redis, from the traces that jobs write themselves, and from /proc.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import psutil

from tests.helpers import key_table
from tests.helpers.orders import BadPayload, Order, Orders
from tests.helpers.processes import is_gone
from tests.helpers.trace import FREE, Line
from tests.helpers.wire import Pairs, Wire, read

_NEVER_RAN = frozenset({"EXPIRED", "REJECTED", "UNKNOWN_CMD"})
_LAST = 6  # flags of a last message
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the faults of a scenario make possible, beside what its orders allow.

    Attributes:
        deaths: ends of agents that left running jobs behind.
        slots: jobs that an agent runs at once.
        states: (state, code) that results may have.
        breaks: whether agents may have found that Redis was away: for some seconds after that, a
            second command of a known ID is taken for the first one, which Redis may have forgotten.
        overlaps: whether what was lost may still run when its successor in a queue begins: its
            agent is cut off and cannot know.
    """

    deaths: int = 0
    slots: int = 0
    states: frozenset[tuple[str, int]] = frozenset()
    breaks: bool = False
    overlaps: bool = False


@dataclass(slots=True)
class Report:
    """What a scenario came to.

    Attributes:
        scenario: its name.
        seed: of its choices.
        jobs: commands pushed, bad payloads included.
        faults: that were made, counted.
        lost: results that say LOST.
        missing: commands without a result.
        doubles: commands that ran more often than they may.
        violations: what did not hold, in words.
        concerned: states of the jobs that these are about.
    """

    scenario: str = ""
    seed: str = ""
    jobs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    missing: int = 0
    doubles: int = 0
    violations: list[str] = field(default_factory=list)
    concerned: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def check(self) -> Report:
        """Raise if anything did not hold.

        Raises:
            AssertionError: with all that did not hold, the seed, and the jobs concerned.
        """
        if self.violations:
            raise AssertionError(self.text())
        return self

    def text(self) -> str:
        """Say it in lines."""
        head = f"{self.scenario} seed={self.seed}: {len(self.violations)} violations"
        jobs = [f"  {job}: {state}" for job, state in self.concerned.items()]
        return "\n".join([head, *(f"- {text}" for text in self.violations), *jobs])


class Inspection:
    """One look at everything, to be taken when nothing moves any more."""

    def __init__(
        self,
        wire: Wire,
        nodes: Iterable[str],
        orders: Orders,
        trace: Iterable[Line],
        allowed: Allowed | None = None,
        groups: Iterable[str] = (),
    ) -> None:
        """Prepare it.

        Args:
            wire: to Redis.
            nodes: that served.
            orders: what was pushed.
            trace: what jobs said.
            allowed: what the faults make possible.
            groups: that nodes served.
        """
        self._wire = wire
        self._nodes = list(nodes)
        self._groups = list(groups)
        self._orders = orders
        self._allowed = allowed or Allowed()
        self._trace = list(trace)
        self._begins: dict[str, list[Line]] = defaultdict(list)
        self._ends: dict[str, list[Line]] = defaultdict(list)
        for line in self._trace:
            (self._begins if line.begins else self._ends)[line.job].append(line)
        self._report = Report()
        self._results: dict[str, Pairs] = {}
        self._rejected = [entry for node in self._nodes for entry in wire.rejected(node)]

    def report(self) -> Report:
        """Look at everything."""
        orders = self._orders
        self._report.jobs = len(orders.commands) + len(orders.bad)
        self._report.violations += orders.trouble
        self._look_at_results()
        for order in orders.commands.values():
            self._look_at_runs(order)
            self._look_at_duplicates(order)
            if order.streams:
                self._look_at_log(order)
        for bad in orders.bad:
            self._look_at_bad(bad)
        self._look_at_losses()
        self._look_at_strangers()
        self._look_at_queues()
        self._look_at_keys()
        self._look_at_processes()
        return self._report

    def _say(self, text: str, *jobs: str) -> None:
        self._report.violations.append(text)
        for job in jobs[:_SHOWN]:
            self._report.concerned[job] = {
                **self._wire.state(job),
                "result": self._results.get(job, {}).get("state"),
                "begins": len(self._begins[job]),
                "ends": [line.code for line in self._ends[job]],
            }

    # -- results ------------------------------------------------------------------------------

    def _look_at_results(self) -> None:
        """Each command has exactly one result, the one that was seen before, and a true one."""
        for order in self._orders.commands.values():
            payloads = self._wire.redis.lrange(self._wire.keys.result(order.id), 0, -1)
            found = [read(payload) for payload in payloads]
            if len(found) > 1:
                self._say(f"{order.kind} {order.id} has {len(found)} results", order.id)
            if found and order.known is not None and not _agree(found[0], order.known):
                self._say(f"{order.kind} {order.id}: its result was replaced", order.id)
            if not found and order.known is not None and order.kind != "client":
                self._say(f"{order.kind} {order.id}: its result was seen and is gone", order.id)
            result = order.known or (found[0] if found else None)
            if result is None:
                self._report.missing += 1
                self._say(f"{order.kind} {order.id} has no result", order.id)
                continue
            self._results[order.id] = result
            self._look_at_result(order, result)

    def _look_at_result(self, order: Order, result: Pairs) -> None:
        state, code = str(result["state"]), int(result["code"])
        self._report.lost += state == "LOST"
        expected = state in order.states or (state, code) in self._allowed.states
        if state == "LOST" and self._allowed.deaths and not order.retries:
            expected = True
        if not expected:
            self._say(f"{order.kind} {order.id} ended as {state} {code}", order.id)
        if result.get("survivors"):
            self._say(f"{order.id} left {result['survivors']} processes", order.id)
        ran, ends = len(self._begins[order.id]), self._ends[order.id]
        if not order.traced:
            return
        if state == "SUCCESS" and (not ends or ends[-1].code != 0):
            self._say(f"{order.kind} {order.id} is a SUCCESS and no run of it was", order.id)
        if state == "ERROR" and 1000 < code <= 1127 and (not ends or ends[-1].code != code - 1000):
            self._say(f"{order.kind} {order.id} is ERROR {code}, no run ended so", order.id)
        if state in _NEVER_RAN and ran:
            self._say(f"{order.kind} {order.id} ended as {state}, and ran", order.id)
        whole = order.output is None or result["streams"][0] == order.output
        if state == "SUCCESS" and not whole:
            self._say(f"{order.kind} {order.id}: its output is not whole", order.id)

    def _look_at_losses(self) -> None:
        """No more is lost than can have run when an agent died; or ended, and was not told yet."""
        most = self._allowed.deaths * self._allowed.slots
        lost = [
            job
            for job, result in self._results.items()
            if result["state"] == "LOST" and not self._ends[job]
        ]
        if len(lost) > most:
            self._say(f"{len(lost)} jobs are LOST, at most {most} can have run", *lost)
        queues = Counter(
            order.queue for job in lost if (order := self._orders.commands[job]).queue is not None
        )
        for queue, count in queues.items():
            if count > self._allowed.deaths:
                self._say(f"queue {queue}: {count} LOST, of which no two can have run at once")

    # -- runs ---------------------------------------------------------------------------------

    def _look_at_runs(self, order: Order) -> None:
        """No command runs more often than it may."""
        ran = len(self._begins[order.id])
        if order.runs is None:
            return
        most = order.runs + (self._allowed.deaths if order.retries else 0)
        if ran > most:
            self._report.doubles += 1
            self._say(f"{order.kind} {order.id} ran {ran} times, {most} allowed", order.id)

    def _look_at_strangers(self) -> None:
        """What ran though nobody knows that it was pushed: once at most, too."""
        for job, begins in self._begins.items():
            if job not in self._orders.commands and len(begins) > 1:
                self._report.doubles += 1
                self._say(f"{job}, whose push failed, ran {len(begins)} times", job)

    def _look_at_queues(self) -> None:
        """No two runs of a queue, or of a job, overlap; queues keep their order."""
        for line in self._trace:
            if line.begins and line.found != FREE and not self._may_overlap(line):
                what = "beside" if line.found != line.job else "beside a run of its own,"
                self._say(f"{line.job} ran {what} {line.found}", line.job, line.found)
        for queue, orders in self._by_queue().items():
            tokens = [
                (line.token, line.job)
                for line in self._trace
                if line.begins and line.job in orders and orders[line.job].fleet
            ]
            if tokens:
                self._look_at_tokens(queue, tokens)
            else:
                self._look_at_order(queue, list(orders))

    def _may_overlap(self, line: Line) -> bool:
        result = self._results.get(line.found, {})
        return self._allowed.overlaps and (result.get("state") == "LOST" or line.found == line.job)

    def _by_queue(self) -> dict[str, dict[str, Order]]:
        queues: dict[str, dict[str, Order]] = defaultdict(dict)
        for order in self._orders.commands.values():
            if order.queue is not None:
                queues[order.queue][order.id] = order
        return queues

    def _look_at_order(self, queue: str, pushed: list[str]) -> None:
        """First runs begin in the order in which their commands were pushed."""
        places = {job: place for place, job in enumerate(pushed)}
        first = dict.fromkeys(line.job for line in self._trace if line.begins)
        begun = [job for job in first if job in places]
        for before, after in pairwise(begun):
            if places[before] > places[after]:
                self._say(f"queue {queue}: {before} began before {after}", before, after)

    def _look_at_tokens(self, queue: str, tokens: list[tuple[str, str]]) -> None:
        """Each run of a fleet-wide queue has a higher token than the one before."""
        last = -1
        for token, job in tokens:
            if not token.isdecimal():
                self._say(f"queue {queue}: {job} has no fencing token", job)
            elif int(token) <= last:
                self._say(f"queue {queue}: {job} has token {token} after {last}", job)
            else:
                last = int(token)

    # -- payloads that are not taken ----------------------------------------------------------

    def _look_at_duplicates(self, order: Order) -> None:
        """Whoever uses an ID a second time is told so, once each time."""
        told = sum(
            1 for entry in self._rejected if entry.get("id") == order.id and entry["code"] == 409
        )
        least = 0 if self._allowed.breaks else order.pushed - 1
        most = order.pushed - 1 + order.perhaps
        if not least <= told <= most:
            self._say(f"{order.id}: {told} duplicates told of, {least} to {most} pushed", order.id)

    def _look_at_bad(self, bad: BadPayload) -> None:
        """What cannot be read is kept where operators look, once."""
        kept = sum(1 for entry in self._rejected if bad.mark in str(entry["payload"]))
        if not bad.pushed <= kept <= bad.pushed + bad.perhaps:
            self._say(f"the bad payload {bad.mark} is {kept} times in the rejected list")

    # -- logs ---------------------------------------------------------------------------------

    def _look_at_log(self, order: Order) -> None:
        """Messages are numbered without gaps, and exactly one, the last, says that it is."""
        entries = self._wire.redis.xrange(self._wire.keys.log(order.id))
        messages = [read(fields[b"m"]) for _, fields in entries]
        numbers = [message["seq"] for message in messages]
        if numbers != list(range(len(numbers))):
            self._say(f"the log of {order.id} has gaps: {_gaps(numbers)}", order.id)
        lasts = [bool(message["flags"] & _LAST) for message in messages]
        if lasts.count(True) != 1 or not lasts[-1]:
            self._say(f"the log of {order.id} has {lasts.count(True)} last messages", order.id)
        result = self._results.get(order.id, {})
        if order.output is None or result.get("state") != "SUCCESS":
            return
        text = "".join(
            message["message"]
            for message in messages
            if message["level"] == 1 and not message["flags"] & _LAST
        )
        if not text.endswith(order.output) if order.retries else text != order.output:
            self._say(f"the log of {order.id} does not have its output", order.id)
        if order.followed is not None and order.followed != text:
            self._say(f"who followed {order.id} heard something else", order.id)

    # -- what is left -------------------------------------------------------------------------

    def _look_at_keys(self) -> None:
        """Nothing is claimed or waits any more, and what should expire will."""
        keys = self._wire.keys
        hashes = [keys.claimed(node) for node in self._nodes]
        hashes += [keys.group_claimed(group) for group in self._groups]
        for key in hashes:
            left = self._wire.redis.hgetall(key)
            if left:
                shown = {field: value[:60] for field, value in list(left.items())[:_SHOWN]}
                self._say(f"{len(left)} left in {key}: {shown}")
        lists = [list_of(node) for node in self._nodes for list_of in (keys.commands, keys.control)]
        lists += [keys.group_commands(group) for group in self._groups]
        for key in lists:
            if count := self._wire.redis.llen(key):
                self._say(f"{count} wait in {key}")
        for text in _wrong_keys(self._wire):
            self._say(text)

    def _look_at_processes(self) -> None:
        """Nothing of any job runs."""
        left = [f"{process.pid} {process.name()}" for process in of_nodes(self._wire)]
        if left:
            self._say(f"{len(left)} processes of jobs are left: {left[:_SHOWN]}")


def of_nodes(wire: Wire) -> list[psutil.Process]:
    """Find the processes of all jobs of the namespace, by the mark that they inherit."""
    begin = f"{wire.keys.namespace}/"
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("COREX_JOB_NODE", "").startswith(begin)
            if marked and not is_gone(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wrong_keys(wire: Wire) -> Iterator[str]:
    """Tell of keys that are not in the table, of another type, or that will never go."""
    table = key_table.rows()
    begin = f"{wire.keys.namespace}:"
    for key in wire.redis.scan_iter(match=f"{begin}*", count=1000):
        name = key.decode().removeprefix(begin)
        row = next((row for row in table if row.pattern.fullmatch(name)), None)
        if row is None:
            yield f"no such key is in the table: {name}"
            continue
        kind = wire.redis.type(key).decode()
        if kind != row.type:
            yield f"{name} is a {kind}, not a {row.type}"
        if row.expires and wire.redis.pttl(key) == -1:
            yield f"{name} has no TTL"


def _agree(one: Pairs, other: Pairs) -> bool:
    """Whether two readings are of one result, as far as both tell."""
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _gaps(numbers: list[int]) -> str:
    wrong = [
        f"{before}→{after}" for before, after in pairwise([-1, *numbers]) if after != before + 1
    ]
    return ", ".join(wrong[:_SHOWN])


# -- descriptors and memory -------------------------------------------------------------------

_MORE_DESCRIPTORS = 32
_MORE_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an agent and its spawners hold.

    Attributes:
        pid: of the agent.
        descriptors: open ones.
        rss: bytes of memory.
    """

    pid: int
    descriptors: int
    rss: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Measure an agent, at a quiet moment."""
        agent = psutil.Process(pid)
        family = [agent, *agent.children()]
        return cls(
            pid,
            sum(process.num_fds() for process in family),
            sum(process.memory_info().rss for process in family),
        )

    def grown(self, before: Footprint) -> list[str]:
        """Tell what has grown beyond what reconnecting and caches explain."""
        if before.pid != self.pid:
            return []
        found = []
        if self.descriptors > before.descriptors + _MORE_DESCRIPTORS:
            found.append(f"descriptors grew from {before.descriptors} to {self.descriptors}")
        if self.rss > before.rss + _MORE_BYTES:
            found.append(f"memory grew from {before.rss >> 20} to {self.rss >> 20} MiB")
        return found
