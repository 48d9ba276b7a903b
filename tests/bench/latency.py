"""Latency of an idle node: from the push of a `core.ping` to its result at the waiting client.

Set against a bare push-pop-push-pop over two connections; p99 against p50 of the same run.
"""

from __future__ import annotations

import statistics
import time

import redis

from corex import Client
from corex.node import Node
from tests.bench.bench_node import NAMESPACE, NODE, bench_node
from tests.bench.pairs import Row, Target, in_turn

SAMPLES = 500
_WARM_UP = 50
_PATIENCE = 10.0
_REQUESTS, _ANSWERS = "bare:requests", "bare:answers"


def measure(pairs: int) -> list[Row]:
    """Measure both figures."""
    with (
        bench_node() as bench,
        Client(bench.server.url, namespace=NAMESPACE) as client,
        redis.Redis.from_url(bench.server.url) as here,
        redis.Redis.from_url(bench.server.url) as there,
    ):
        node = client.node(NODE)
        _ours(node, _WARM_UP)
        ours, bare = in_turn(
            lambda: _ours(node, SAMPLES), lambda: _bare(here, there, SAMPLES), pairs
        )
    halves = [_percentile(times, 50) for times in ours]
    bare_halves = [_percentile(times, 50) for times in bare]
    tails = [_percentile(times, 99) for times in ours]
    at_most_4 = Target("<=", 4)
    return [
        Row("latency p50", "ms", "core.ping", "push-pop-push-pop", halves, bare_halves, at_most_4),
        Row("latency p99", "ms", "core.ping", "its own p50", tails, halves, at_most_4),
    ]


def _ours(node: Node, count: int) -> list[float]:
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        result = node.submit("core.ping").wait(_PATIENCE)
        times.append(time.perf_counter() - begin)
        result.check()
    return times


def _bare(here: redis.Redis, there: redis.Redis, count: int) -> list[float]:
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        here.rpush(_REQUESTS, b"ping")
        there.blpop([_REQUESTS], timeout=10)
        there.rpush(_ANSWERS, b"pong")
        here.blpop([_ANSWERS], timeout=10)
        times.append(time.perf_counter() - begin)
    return times


def _percentile(seconds: list[float], percent: int) -> float:
    """Find a percentile, in ms."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
