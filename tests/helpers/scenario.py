"""A scenario: a load, what is done to it, and what must hold afterwards."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from corex_node.process.embedded import EmbeddedRedis
from corex_shared.keys import Keys
from tests.helpers.eventually import eventually
from tests.helpers.invariants import Allowed, Footprint, Inspection, Report, of_nodes
from tests.helpers.load import Load, Target, plain_wire
from tests.helpers.nodes import NodeProcess
from tests.helpers.proxy import Proxy
from tests.helpers.sentinel import SentinelTrio
from tests.helpers.trace import Trace
from tests.helpers.wire import Wire

SLOTS = 8
_ENV = {
    "COREX_NODE_MAX_JOBS": str(SLOTS),
    "COREX_NODE_LIMITS_LEASE": "2",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.5",
    "COREX_NODE_LIMITS_RESTART_FIRST": "0.1",
    "COREX_NODE_LIMITS_REJECTED": "100000",
}
SETTLED = 40.0
"""Seconds within which every command must have its result once all is well again."""
_QUIET = 10.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done, and what it makes possible.

    Attributes:
        name: for people and for seeds.
        disturb: does it, while the load goes on; leaves what it broke to be healed.
        redis: settings of the server.
        env: of all agents, beside what they all have.
        nodes: that serve.
        group: that all of them are of; empty for none.
        sentinels: whether Redis is a master with replicas, watched by Sentinels.
        replicas: see `Target`.
        proxied: whether agents reach Redis by a proxy.
        states: (state, code) that results may have.
        breaks: see `Allowed`.
        overlaps: see `Allowed`.
        prepare: changes the load before it begins.
        pace: commands a second.
    """

    name: str
    disturb: Callable[[Arena], None]
    redis: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ("n1",)
    group: str = ""
    sentinels: bool = False
    replicas: int = 0
    proxied: bool = False
    states: frozenset[tuple[str, int]] = frozenset()
    breaks: bool = False
    overlaps: bool = False
    prepare: Callable[[Arena], None] = lambda _: None
    pace: float = 40.0


class Arena:
    """Where a scenario takes place: a Redis, agents, a load.

    Attributes:
        rng: source of all choices of the scenario.
        redis: the server, if there is one.
        sentinels: the servers, if there are several.
        wire: to it, without repetition.
        trace: what jobs say.
        load: what is pushed.
        proxy: between agents and server, of scenarios that are proxied.
        faults: what was done so far, counted.
        deaths: ends of agents that left running jobs behind.
        trouble: what the scenario itself has seen that should not be.
        folder: for files.
        env: of all agents.
    """

    def __init__(self, scenario: Scenario, seed: str, folder: Path, seconds: float) -> None:
        """Prepare it; `play` sets it up."""
        self.rng = random.Random(f"{scenario.name}:{seed}")
        self.trace = Trace(folder / "trace")
        self.faults: Counter[str] = Counter()
        self.deaths = 0
        self.trouble: list[str] = []
        self.keys = Keys(f"{scenario.name}-{seed}")
        self.redis = EmbeddedRedis(persistent=True, settings=scenario.redis)
        self.sentinels: SentinelTrio
        self.wire: Wire
        self.load: Load
        self.proxy: Proxy
        self.url = ""
        self._scenario = scenario
        self.folder = folder
        self.env = {**_ENV, **scenario.env}
        if scenario.group:
            self.env["COREX_NODE_GROUPS"] = scenario.group
        self._seconds = seconds
        self._until = 0.0
        self._nodes: dict[str, NodeProcess] = {}
        self._started: list[NodeProcess] = []

    # -- for scenarios ------------------------------------------------------------------------

    def goes_on(self) -> bool:
        """Whether there is time for one more fault."""
        return time.monotonic() < self._until

    def pause(self, least: float, most: float) -> None:
        """Let a random time pass: how long is the case, nothing is hoped for."""
        time.sleep(self.rng.uniform(least, most))

    def node(self, name: str = "n1") -> NodeProcess:
        """Get the agent of a node that was started last."""
        return self._nodes[name]

    def start(
        self, name: str = "n1", *, wait: bool = True, env: Mapping[str, str] | None = None
    ) -> NodeProcess:
        """Start an agent of a node; another one of it may run."""
        log = self.folder / f"node-{name}-{len(self._started)}.log"
        every = {**self.env, **(env or {})}
        node = NodeProcess(name, self.url, self.keys.namespace, log, env=every)
        self._nodes[name] = node
        self._started.append(node)
        node.start(wait=wait)
        return node

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return self._scenario.nodes

    def kill(self, node: NodeProcess, *, spawners: bool = False) -> None:
        """End an agent by SIGKILL, together with its spawners if so asked."""
        self.died("agent killed")
        if spawners:
            family = [psutil.Process(node.process.pid), *spawners_of(node)]
            for process in family:
                process.send_signal(signal.SIGSTOP)
            for process in family:
                process.kill()
            node.wait()
        else:
            node.kill()

    def died(self, how: str) -> None:
        """Count an end of an agent that may leave running jobs behind."""
        self.faults[how] += 1
        self.deaths += 1

    def take_for(self, name: str, node: NodeProcess) -> None:
        """Take an agent that was started before for the node's own."""
        self._nodes[name] = node

    def lead_path(self, folder: str) -> None:
        """Have agents look for modules in a folder first."""
        path = [str(Path(folder).resolve()), os.environ.get("PYTHONPATH", "")]
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, path))

    def loaded(self, more: int = 15) -> None:
        """Wait until some more runs have begun: the load is under way."""
        least = self.trace.begun() + more
        eventually(lambda: self.trace.begun() >= least, f"{more} more runs", seconds=30)

    def amid_queue(self) -> None:
        """Wait, for some seconds, until a job runs that had waited for another of its queue."""
        with suppress(AssertionError):
            eventually(self._is_amid_queue, seconds=10)

    def _is_amid_queue(self) -> bool:
        queues = {order.id: order.queue for order in self.load.snapshot() if order.queue}
        ended: set[str] = set()
        running: dict[str, str] = {}
        for line in self.trace.lines():
            if (queue := queues.get(line.job)) and line.begins:
                running[queue] = line.job
            elif queue:
                ended.add(queue)
                running.pop(queue, None)
        return bool(ended & running.keys())

    # -- for `play` ---------------------------------------------------------------------------

    def set_up(self, stack: ExitStack) -> None:
        """Start the server, the agents and the load."""
        scenario = self._scenario
        if scenario.sentinels:
            self.sentinels = stack.enter_context(SentinelTrio(dict(scenario.redis)))
            direct = self.sentinels.url
        else:
            self.redis.start()
            stack.callback(self.redis.stop)
            direct = self.redis.url
        self.url = direct
        if scenario.proxied:
            self.proxy = stack.enter_context(Proxy.before(direct))
            self.url = self.proxy.url(direct)
        self.wire = stack.enter_context(plain_wire(direct, self.keys, scenario.nodes[0]))
        stack.callback(self._end_agents)
        target = Target(
            direct, self.url, self.keys, scenario.nodes, scenario.group, scenario.replicas
        )
        self.load = Load(target, self.trace, self.rng, scenario.pace)
        stack.callback(self.load.stop)
        scenario.prepare(self)
        for name in scenario.nodes:
            self.start(name)
        self._before = {name: Footprint.of(node.process.pid) for name, node in self._nodes.items()}
        self.load.start()

    def run(self) -> None:
        """Do what the scenario does, once the load is under way."""
        self.loaded(5)
        self._until = time.monotonic() + self._seconds
        self._scenario.disturb(self)

    def heal(self) -> None:
        """Bring back what is away."""
        if self._scenario.proxied:
            self.proxy.heal()
        if not self._scenario.sentinels:
            self.redis.resume()
            self.redis.start()
        for name, node in list(self._nodes.items()):
            if node.running:
                node.signal(signal.SIGCONT)
            else:
                self.start(name)

    def settle(self) -> None:
        """Wait until every command has its result and nothing moves any more."""
        self.load.settle(SETTLED)
        # What is not true by then is for the inspection to tell.
        try:
            eventually(self._is_quiet, seconds=_QUIET)
        except AssertionError:
            for node in self._nodes.values():
                if node.running:
                    node.signal(signal.SIGUSR1)  # its log says what it is at

    def _is_quiet(self) -> bool:
        keys, nodes = self.keys, self._scenario.nodes
        names = [key(node) for node in nodes for key in (keys.claimed, keys.commands, keys.control)]
        return not self.wire.redis.exists(*names) and not of_nodes(self.wire)

    def report(self) -> Report:
        """Look at everything."""
        scenario = self._scenario
        allowed = Allowed(self.deaths, SLOTS, scenario.states, scenario.breaks, scenario.overlaps)
        groups = [scenario.group] if scenario.group else []
        report = Inspection(
            self.wire, scenario.nodes, self.load.orders, self.trace.lines(), allowed, groups
        ).report()
        report.violations += self.trouble
        for name, node in self._nodes.items():
            if node.running:
                grown = Footprint.of(node.process.pid).grown(self._before[name])
                report.violations += [f"agent of {name}: {text}" for text in grown]
            report.violations += self._stopped(node)
        report.faults = self.faults
        return report

    def _stopped(self, node: NodeProcess) -> Iterator[str]:
        try:
            node.finish()
        except AssertionError as error:
            yield str(error)

    def _end_agents(self) -> None:
        for node in self._started:
            if node.running:
                node.process.kill()
                node.wait()


def play(scenario: Scenario, seed: str, folder: Path, seconds: float) -> Report:
    """Play a scenario once.

    Args:
        scenario: which.
        seed: of its choices. What happens between processes is chance all the same: a seed repeats
            what was done, in the same order, not to the microsecond when.
        folder: for its files.
        seconds: for which faults are made; one at least is.
    """
    arena = Arena(scenario, seed, folder, seconds)
    with ExitStack() as stack:
        arena.set_up(stack)
        trouble = []
        try:
            arena.run()
        except AssertionError as error:
            trouble.append(f"the scenario could not go on: {error}")
        arena.load.stop()
        arena.heal()
        arena.settle()
        report = arena.report()
        report.violations += trouble
    report.scenario, report.seed = scenario.name, seed
    return report


def spawners_of(node: NodeProcess) -> list[psutil.Process]:
    """Find the processes that start programs for an agent."""
    found = []
    for child in psutil.Process(node.process.pid).children():
        with suppress(psutil.Error):
            if "corex_node.process.spawner" in child.cmdline():
                found.append(child)
    return found
