"""What befalls Redis, and the way to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.helpers.eventually import eventually
from tests.helpers.freezing import frozen
from tests.helpers.proxy import BOTH, Direction
from tests.helpers.scenario import Arena, Scenario

_STEPS = [[Direction.UP], [Direction.DOWN], list(BOTH)]


def redis_killed(arena: Arena) -> None:
    """The server is killed, and started with what it had written."""
    _again(arena, "redis killed", arena.redis.kill, (0, 0.5), arena.redis.start)


def redis_stopped(arena: Arena) -> None:
    """The server is away for longer than the lease."""
    stop = partial(arena.redis.stop, keep_data=True)
    _again(arena, "redis stopped", stop, (2.1, 3), arena.redis.start)


def redis_paused(arena: Arena) -> None:
    """The server does not answer for a while."""
    _again(arena, "redis paused", arena.redis.pause, (0.2, 3), arena.redis.resume)


def _again(
    arena: Arena,
    fault: str,
    harm: Callable[[], object],
    seconds: tuple[float, float],
    mend: Callable[[], object],
) -> None:
    """Do harm for some seconds, from the shortest to the longest, and mend it, time and again."""
    while True:
        harm()
        arena.faults[fault] += 1
        arena.pause(*seconds)
        mend()
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return


def connections_killed(arena: Arena) -> None:
    """All connections are closed by the server, again and again; its scripts are flushed."""
    while True:
        arena.wire.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        arena.faults["connections killed"] += 1
        if arena.rng.random() < 0.2:
            arena.wire.redis.script_flush()
            arena.faults["scripts flushed"] += 1
        arena.pause(0, 0.15)
        if not arena.goes_on():
            return


def network_slow(arena: Arena) -> None:
    """Everything takes its time, each way."""
    while True:
        arena.proxy.delay(arena.rng.uniform(0.01, 0.3), arena.rng.choice(_STEPS))
        arena.faults["delayed"] += 1
        arena.pause(0.2, 1)
        arena.proxy.delay(0)
        if not arena.goes_on():
            return


def network_cut(arena: Arena) -> None:
    """Connections are reset, answers get lost, new connections are refused."""
    while True:
        what = arena.rng.choice(["cut", "lost", "lost", "refused"])
        if what == "lost":
            arena.proxy.lose_answers(arena.rng.randrange(1, 6))
        else:
            if what == "refused":
                arena.proxy.refuse()
            arena.proxy.cut()
        arena.faults[what] += 1
        arena.pause(0, 0.4)
        arena.proxy.admit()
        if not arena.goes_on():
            return
        arena.pause(0, 0.2)


def network_half_open(arena: Arena) -> None:
    """Nothing is forwarded, one way or both, while connections stay; then it goes on, or ends."""
    while True:
        arena.proxy.stall(arena.rng.choice(_STEPS))
        arena.faults["half-open"] += 1
        arena.pause(0.2, 2.5)
        if arena.rng.random() < 0.5:
            arena.proxy.cut()
            arena.faults["cut"] += 1
        arena.proxy.flow()
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return


def failed_over(arena: Arena) -> None:
    """The Sentinels choose another master, which has all that the first one had."""
    trio = arena.sentinels
    while True:
        with arena.load.held(), frozen(arena.node(), trio.ask, trio.master()):
            trio.failover()
        arena.faults["failed over"] += 1
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return
        eventually(trio.is_sound, "all is well for another", seconds=30)


def master_killed(arena: Arena) -> None:
    """The master is killed under load, with what it had acknowledged and not passed on."""
    trio = arena.sentinels
    while True:
        master = trio.master()
        master.kill()
        arena.faults["master killed"] += 1
        trio.wait_other(master)
        master.start()
        eventually(trio.is_sound, "it follows its successor", seconds=30)
        arena.loaded(arena.rng.randrange(5, 20))
        if not arena.goes_on():
            return


SCENARIOS = [
    Scenario("redis-killed-always", redis_killed, {"appendfsync": "always"}, breaks=True),
    Scenario("redis-killed-everysec", redis_killed, {"appendfsync": "everysec"}, breaks=True),
    Scenario("redis-stopped", redis_stopped, breaks=True),
    Scenario("redis-paused", redis_paused, breaks=True),
    Scenario("connections-killed", connections_killed, breaks=True),
    Scenario("failed-over", failed_over, sentinels=True, breaks=True),
    Scenario("master-killed", master_killed, sentinels=True, replicas=2, breaks=True),
    Scenario("network-slow", network_slow, proxied=True, breaks=True),
    Scenario("network-cut", network_cut, proxied=True, breaks=True),
    Scenario("network-half-open", network_half_open, proxied=True, breaks=True),
]
