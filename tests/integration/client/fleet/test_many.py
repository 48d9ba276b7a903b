"""Three hundred nodes: few round trips, few connections, bounded memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from corex import Client, Outcome
from corex.effects import Block, Effect, Plan, ReadInbox, Run
from corex.fleet.jobs import RunJobs
from corex.transport import SyncTransport
from corex_node.process.embedded import EmbeddedRedis
from tests.helpers.simulated import Seen, simulated_nodes

NODES = 300
IDLE = 4.0
"""Seconds for which nothing happens, and round trips are counted."""


class Counting:
    """Counts what clients ask of Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trips = 0
        perform = SyncTransport.perform_effect

        def counted(transport: SyncTransport, effect: Effect) -> Any:
            if isinstance(effect, Run | Block | ReadInbox):
                self.trips += 1
            return perform(transport, effect)

        monkeypatch.setattr(SyncTransport, "perform_effect", counted)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """A server with three hundred nodes, and nobody else."""
    with EmbeddedRedis() as server, simulated_nodes(server.url, "corex", NODES):
        yield server


@pytest.fixture
def cx(server: EmbeddedRedis) -> Iterator[Client]:
    """A client whose connections can be told by their name."""
    with Client(f"{server.url}?client_name=counted") as client:
        yield client


@pytest.fixture
def raw(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    """A plain client of that server."""
    with redis.Redis.from_url(server.url) as client:
        yield client


def connections(raw: redis.Redis) -> int:
    """Connections of the client library."""
    return sum(client["name"] == "counted" for client in raw.client_list())


def test_a_broadcast(cx: Client, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have their outcome soon, for a few round trips and with two connections."""
    counting = Counting(monkeypatch)
    run = cx.fleet("*").submit("sim", {"seconds": 0.3, "output": "x"})
    begun = counting.trips
    assert begun <= 8
    assert connections(raw) <= 2
    started = time.monotonic()
    outcomes = run.results()
    assert time.monotonic() - started < 10
    assert connections(raw) <= 2
    assert [outcome.node for outcome in outcomes] == list(run.nodes)
    assert len(outcomes) == NODES
    assert all(outcome.ok and outcome.result.stdout == "x" for outcome in outcomes)  # type: ignore[union-attr]


def test_a_run_that_waits_costs_next_to_nothing(
    cx: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About two round trips a second."""
    run = cx.fleet("*").submit("sim", {"seconds": 0, "seconds_of": {"s7": IDLE}})
    outcomes = run.outcomes()
    for _ in range(NODES - 1):
        next(outcomes)
    counting, begun = Counting(monkeypatch), time.monotonic()
    assert next(outcomes).node == "s7"
    seconds = time.monotonic() - begun
    assert counting.trips <= 2.5 * seconds + 4, (counting.trips, seconds)


def test_output_of_all(cx: Client, raw: redis.Redis) -> None:
    """One subscription, whatever is said by how many."""
    run = cx.fleet("*").submit("sim", {"seconds": 0.3}, stream=True)
    outcomes = 0
    for event in run.events():
        outcomes += isinstance(event, Outcome)
        assert connections(raw) <= 3
    assert outcomes == NODES


def test_memory_does_not_grow_with_the_command(cx: Client) -> None:
    """A large command is not kept for each node."""
    stdin = os.urandom(200_000)
    tracemalloc.start()
    try:
        run = cx.fleet("*").submit("sim", {"stdin": stdin})
        assert run.ok
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000, peak  # for all it would be 60 MB, and as much again on its way


DRIVER = """
import sys
from corex import Client
with Client(sys.argv[1]) as cx:
    run = cx.fleet("*").submit("sim", {"seconds": 0.15}, batch=20, id=sys.argv[2])
    print("begun", flush=True)
    run.results()
"""


def test_another_goes_on_with_a_run_whose_driver_was_killed(
    cx: Client, raw: redis.Redis, server: EmbeddedRedis
) -> None:
    """Of 300 nodes each runs once, however many were under way then."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, server.url, name], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"begun\n"
    run = cx.run(name)
    outcomes = run.outcomes()
    for _ in range(30):
        next(outcomes)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    rest = list(outcomes)
    assert sorted(outcome.node for outcome in run.results()) == sorted(run.nodes)
    assert len(rest) == NODES - 30
    assert run.ok
    seen = Seen(raw, "corex")
    assert seen.peak(run.id) == 20
    assert seen.begun(run.id) == dict.fromkeys(run.jobs, 1)


def test_a_driver_that_was_stopped_does_no_harm_when_it_wakes_up(
    cx: Client, raw: redis.Redis, server: EmbeddedRedis
) -> None:
    """Another has gone on with its run: it sees that, and starts nothing of it."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, server.url, name], stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"begun\n"
    run = cx.run(name)
    outcomes = run.outcomes()
    next(outcomes)
    driver.send_signal(signal.SIGSTOP)
    for _ in range(100):
        next(outcomes)
    driver.send_signal(signal.SIGCONT)
    rest = list(outcomes)
    assert driver.wait(20) == 0
    driver.stdout.close()
    assert len(rest) == NODES - 101
    assert run.ok
    seen = Seen(raw, "corex")
    assert seen.peak(run.id) == 20
    assert seen.begun(run.id) == dict.fromkeys(run.jobs, 1)


def test_a_driver_that_died_between_recording_a_turn_and_pushing(
    cx: Client, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch, server: EmbeddedRedis
) -> None:
    """Whoever goes on sees that nothing was pushed, and does it."""
    with Client(server.url) as first:
        run = first.fleet("s1,s2,s3,s4").submit("sim", batch=2)

        def die(jobs: RunJobs, indexes: object, marks: object, *, again: bool) -> Plan[None]:
            del jobs, indexes, marks, again
            yield from ()  # a generator, as the other
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(RunJobs, "push", die)
            with pytest.raises(KeyboardInterrupt):
                run.results()
    picked = cx.run(run.id)
    assert [outcome.ok for outcome in picked.results()] == [True] * 4
    assert Seen(raw, "corex").begun(run.id) == dict.fromkeys(run.jobs, 1)
