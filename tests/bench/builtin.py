"""Built-in throughput: 20,000 `core.ping`, from the first push to the last result.

Set against a bare loop (`bare_loop.py`), which is given the same payloads in the same way: both
are running and idle when the first command is pushed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from corex_shared.codec import Encoding, encode
from tests.bench import bare_loop
from tests.bench.bench_node import BenchNode, bench_node, push
from tests.bench.pairs import Row, Target, in_turn

COUNT = 20_000
_WARM_UP = 2_000


def measure(pairs: int) -> list[Row]:
    """Measure the figure."""
    with bench_node() as node:
        node.run(node.commands(_WARM_UP, "core.ping", {}))
        ours, bare = in_turn(lambda: _ours(node), lambda: _bare(node), pairs)
    row = Row("built-in", "jobs/s", "core.ping", "bare loop", ours, bare, Target(">=", 0.6))
    return [row]


def _ours(node: BenchNode) -> float:
    return COUNT / node.run(node.commands(COUNT, "core.ping", {}))


def _bare(node: BenchNode) -> float:
    payloads = [encode(c, Encoding.MSGPACK) for c in node.commands(COUNT, "core.ping", {})]
    program = [sys.executable, str(Path(bare_loop.__file__)), node.server.url, str(COUNT)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "ready\n"
        begin = time.perf_counter()
        push(node.redis, bare_loop.COMMANDS, payloads)
        assert loop.stdout.readline() == "done\n"
        seconds = time.perf_counter() - begin
    for key in node.redis.scan_iter("bare:*", count=5000):
        node.redis.unlink(key)
    return COUNT / seconds
