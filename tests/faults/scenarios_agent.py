"""What befalls agents and the processes beside them."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from corex import Client
from corex_node import faults
from tests.helpers.eventually import eventually
from tests.helpers.nodes import NodeProcess
from tests.helpers.orders import Order
from tests.helpers.scenario import Arena, Scenario, spawners_of

_WAITER = Path(__file__).with_name("waiter.py")
_KILLED = frozenset({("KILLED", 499)})
_SPAWNER = frozenset({("ERROR", 500)})
_POINTS = (
    faults.CLAIMED,
    faults.ACCEPTED,
    faults.MARKED,
    faults.STARTED,
    faults.ENDED,
    faults.FINISHED,
    faults.RELEASED,
    faults.GAVE_BACK,
)
_SHORT = {"COREX_NODE_LIMITS_LEASE": "1", "COREX_NODE_LIMITS_HEARTBEAT": "0.25"}


def agent_killed(arena: Arena) -> None:
    """The agent is killed at any moment, and started again."""
    arena.amid_queue()
    while True:
        arena.kill(arena.node())
        arena.pause(0, 0.3)
        arena.start()
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(1, 30))


def spawners_killed(arena: Arena) -> None:
    """One or all of the processes that start programs are killed; the agent goes on."""
    while True:
        spawners = eventually(lambda: spawners_of(arena.node()), "spawners")
        for spawner in arena.rng.sample(spawners, arena.rng.randrange(1, len(spawners) + 1)):
            with suppress(psutil.NoSuchProcess):
                spawner.kill()
                arena.faults["spawner killed"] += 1
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(5, 30))


def all_killed(arena: Arena) -> None:
    """The agent and its spawners are killed at one moment: their jobs go on for a while."""
    arena.amid_queue()
    while True:
        arena.kill(arena.node(), spawners=True)
        arena.pause(0, 0.3)
        arena.start()
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(5, 30))


def killed_at_each_point(arena: Arena) -> None:
    """The agent dies between any two steps of a claim, a start, an end; all in turn."""
    arena.kill(arena.node())
    while True:
        for at, point in enumerate(arena.rng.sample(_POINTS, len(_POINTS))):
            _die_at(arena, point)
            if at >= 2 and not arena.goes_on():
                arena.start()
                return


def _die_at(arena: Arena, point: str) -> None:
    setting = f"{point}:{arena.rng.choice([1, 1, 2, 3, 5])}"
    if point == faults.GAVE_BACK:
        setting = point
    node = arena.start(wait=False, env={"COREX_FAULT": setting})
    if point == faults.GAVE_BACK:
        node.wait_present()
        arena.loaded(5)
        node.signal(signal.SIGTERM)
    # A point that is not reached, because nothing had to be given back, is no fault.
    with suppress(AssertionError):
        eventually(lambda: not node.running, seconds=5)
    if node.running:
        node.process.kill()
    node.wait()
    arena.died(f"at {point}")


def frozen(arena: Arena) -> None:
    """The agent is stopped for longer than its lease; nobody takes over; it goes on."""
    while True:
        arena.node().signal(signal.SIGSTOP)
        arena.faults["agent frozen"] += 1
        arena.pause(1.2, 2)
        arena.node().signal(signal.SIGCONT)
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return


def taken_over(arena: Arena) -> None:
    """The agent is stopped between two steps, or anywhere; taken over; goes on, a stranger now."""
    points = [faults.CLAIMED, faults.ENDED]
    while True:
        for turn, point in enumerate(points):
            old = _stop_at(arena, point)
            new = _take_over(arena, old)
            if turn:  # whatever the old one took from under the new one, the next must find
                arena.kill(new, spawners=True)
                arena.start()
        if not arena.goes_on():
            return
        points = arena.rng.sample([*_POINTS[:-1], ""], 2)


def _prepare_for_reruns(arena: Arena) -> None:
    arena.load.mix.weigh(queued=15, long=2)
    arena.load.mix.add("rerun", 25, arena.load.mix.rerun)


def _stop_at(arena: Arena, point: str) -> NodeProcess:
    """Have an agent that is stopped as it passes a point; anywhere if there is none."""
    arena.kill(arena.node())
    count = arena.rng.randrange(4, 8)
    old = arena.start(env={"COREX_FAULT": f"{point}:{count}:stop"} if point else {})
    if not point:
        arena.loaded(10)
        old.signal(signal.SIGSTOP)
    eventually(lambda: _is_stopped(old), f"it stops at {point}", seconds=15)
    arena.died(f"taken over at {point or 'random'}")
    return old


def _take_over(arena: Arena, old: NodeProcess) -> NodeProcess:
    """Start a successor; have the old one go on, which must find that it is not needed."""
    new = arena.start()
    eventually(lambda: "node.ready" in new.log_text(), "it is ready")
    # On the server the old one has waited for such commands for longer than the new one.
    jobs = [arena.load.push_one(arena.wire, "quick", control=True) for _ in range(3)]
    old.signal(signal.SIGCONT)
    if (code := old.wait(30)) != 1:
        arena.trouble.append(f"an agent that was taken over ended with {code}")
    results = [arena.keys.result(job) for job in jobs]
    try:
        eventually(lambda: arena.wire.redis.exists(*results) == len(jobs), seconds=15)
    except AssertionError:
        arena.trouble.append(f"one that was taken over has taken some of {jobs}")
    return new


def _is_stopped(node: NodeProcess) -> bool:
    assert node.running, node.log_tail()
    return psutil.Process(node.process.pid).status() == psutil.STATUS_STOPPED


def two_agents(arena: Arena) -> None:
    """Others of the same ID are started while the first lives: they refuse, it goes on."""
    first = arena.node()
    while True:
        other = arena.start(wait=False)
        arena.faults["second agent"] += 1
        if (code := other.wait(40)) != 1 or not first.running:
            arena.trouble.append(f"a second agent ended with {code}")
        arena.take_for("n1", first)
        if not arena.goes_on():
            return


def agent_stopped(arena: Arena) -> None:
    """The agent is told to stop, gives back what it has not started, and is started again."""
    while True:
        if (code := arena.node().stop()) != 0:
            arena.trouble.append(f"an agent that was stopped ended with {code}")
        arena.faults["agent stopped"] += 1
        arena.start()
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(1, 30))


def client_killed(arena: Arena) -> None:
    """A client dies while it waits; another finds the results by the jobs' IDs."""
    while True:
        command = [sys.executable, str(_WAITER), arena.url, arena.keys.namespace]
        script = arena.trace.script(f"sleep {arena.rng.uniform(0.1, 0.8):.2f}")
        waiter = subprocess.Popen([*command, script], stdout=subprocess.PIPE, text=True)
        with waiter:
            assert waiter.stdout is not None
            jobs = waiter.stdout.readline().split()
            arena.pause(0, 0.5)
            waiter.kill()
        arena.faults["client killed"] += 1
        with Client(arena.url, namespace=arena.keys.namespace) as other:
            for job in jobs:
                state = str(other.job(job).wait(timeout=30).state)
                if state != "SUCCESS":
                    arena.trouble.append(f"{job}, whose client was killed, ended as {state}")
        for job in jobs:
            arena.load.orders.add(Order(job, "client", perhaps=1 << 30))
        if not jobs:
            arena.trouble.append("the client had no jobs")
        if not arena.goes_on():
            return


def clock_jumps(arena: Arena) -> None:
    """The node's wall clock is set forth and back by days while jobs run."""
    file = arena.folder / "clock"
    while True:
        days = arena.rng.choice([-3650, -1, -0.01, 0.01, 1, 3650])
        _set_clock(file, days)
        arena.faults["clock set"] += 1
        arena.loaded(arena.rng.randrange(1, 20))
        if not arena.goes_on():
            break
    _set_clock(file, 1)
    job = arena.wire.script("echo now", stream=True)
    arena.wire.result(job)
    ahead = arena.wire.log(job)[0]["epoch"] / 1e9 - float(arena.wire.redis.time()[0])
    if not 86_000 < ahead < 87_000:
        arena.trouble.append(f"the clock was not set: {ahead:g} s ahead")


def _set_clock(file: Path, days: float) -> None:
    with file.open("r+b") as clock:  # in place: it is mapped by those who read it
        clock.write(struct.pack("q", int(days * 86_400 * 10**9)))


def _with_a_clock(arena: Arena) -> None:
    file = arena.folder / "clock"
    file.write_bytes(struct.pack("q", 0))
    arena.env["FAULTS_CLOCK"] = str(file)
    arena.lead_path("tests/faults/clock")


SCENARIOS = [
    Scenario("agent-killed", agent_killed),
    Scenario("spawners-killed", spawners_killed, states=_SPAWNER),
    Scenario("all-killed", all_killed),
    Scenario("killed-at-each-point", killed_at_each_point),
    Scenario("frozen", frozen, env=_SHORT, breaks=True),
    Scenario("taken-over", taken_over, env=_SHORT, prepare=_prepare_for_reruns, breaks=True),
    Scenario("two-agents", two_agents),
    Scenario("agent-stopped", agent_stopped, states=_KILLED, env={"COREX_NODE_LIMITS_DRAIN": "1"}),
    Scenario("clock-jumps", clock_jumps, prepare=_with_a_clock),
    Scenario("client-killed", client_killed),
]
