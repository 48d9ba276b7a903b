"""What befalls nodes that have each other: groups, queues of the fleet, the reaper."""

from __future__ import annotations

import signal

from tests.faults.scenarios_server import redis_killed
from tests.helpers.scenario import Arena, Scenario

_ENV = {
    "COREX_NODE_LIMITS_LEASE": "1.5",
    "COREX_NODE_LIMITS_HEARTBEAT": "0.3",
    "COREX_NODE_LIMITS_REAP": "1",
}
_NODES = ("n1", "n2")
_LOST = frozenset({("LOST", 503), ("KILLED", 499)})


def nodes_killed(arena: Arena) -> None:
    """Nodes are killed, and come back soon, or when others have settled what they left."""
    while True:
        name = arena.rng.choice(arena.nodes)
        arena.kill(arena.node(name))
        if arena.rng.random() < 0.5:
            arena.pause(3, 4)
            arena.faults["stayed away"] += 1
        else:
            arena.pause(0, 1)
        arena.start(name)
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(5, 30))


def nodes_frozen(arena: Arena) -> None:
    """Nodes are stopped until others have taken what they had, and go on."""
    while True:
        node = arena.node(arena.rng.choice(arena.nodes))
        node.signal(signal.SIGSTOP)
        arena.died("node frozen")
        arena.pause(2, 4.5)
        node.signal(signal.SIGCONT)
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return


def nodes_stopped(arena: Arena) -> None:
    """Nodes are told to stop, one after the other, and are started again."""
    while True:
        name = arena.rng.choice(arena.nodes)
        if (code := arena.node(name).stop()) != 0:
            arena.trouble.append(f"{name}, which was stopped, ended with {code}")
        arena.faults["node stopped"] += 1
        arena.pause(0, 1)
        arena.start(name)
        if not arena.goes_on():
            return
        arena.loaded(arena.rng.randrange(5, 20))


def _with_fleet_queues(arena: Arena) -> None:
    arena.load.mix.add("fleet", 15, arena.load.mix.fleet)


SCENARIOS = [
    Scenario(
        "fleet-killed", nodes_killed, env=_ENV, nodes=_NODES, group="g", prepare=_with_fleet_queues
    ),
    Scenario(
        "fleet-frozen",
        nodes_frozen,
        env={**_ENV, "COREX_NODE_WHEN_LAPSED": "stop"},  # else what is LOST may run on for ever
        nodes=_NODES,
        group="g",
        states=_LOST,
        breaks=True,
        overlaps=True,
        prepare=_with_fleet_queues,
    ),
    Scenario(
        "fleet-stopped",
        nodes_stopped,
        env={**_ENV, "COREX_NODE_LIMITS_DRAIN": "1"},
        nodes=_NODES,
        group="g",
        states=_LOST,
        prepare=_with_fleet_queues,
    ),
    Scenario(
        "fleet-redis-killed",
        redis_killed,
        {"appendfsync": "always"},
        env=_ENV,
        nodes=_NODES,
        group="g",
        breaks=True,
        prepare=_with_fleet_queues,
    ),
]
