"""Output: the million lines of `seq 1000000`, streamed, each of them seen by a client.

Set against `seq 1000000 | cat`, read by 64 KiB.
"""

from __future__ import annotations

import subprocess
import time

from corex import Client
from corex.node import Node
from tests.bench.bench_node import NAMESPACE, NODE, bench_node
from tests.bench.pairs import Row, Target, in_turn

LINES = 1_000_000
_READ_SIZE = 64 * 1024
_PATIENCE = 120.0
_EXPECTED = "".join(f"{number}\n" for number in range(1, LINES + 1))


def measure(pairs: int) -> list[Row]:
    """Measure the figure."""
    with bench_node() as bench, Client(bench.server.url, namespace=NAMESPACE) as client:
        node = client.node(NODE)
        ours, bare = in_turn(lambda: _ours(node), _bare, pairs)
    return [Row("output", "lines/s", "stream", "pipe", ours, bare, Target(">=", 0.25))]


def _ours(node: Node) -> float:
    begin = time.perf_counter()
    job = node.system("seq", args=[str(LINES)], stream=True)
    seen = [message.text for message in job.stream(_PATIENCE)]
    seconds = time.perf_counter() - begin
    job.wait(_PATIENCE).check()
    _check("".join(seen))
    return LINES / seconds


def _bare() -> float:
    begin = time.perf_counter()
    with subprocess.Popen(
        f"seq {LINES} | cat", shell=True, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        seen = []
        while data := process.stdout.read(_READ_SIZE):
            seen.append(data)
    seconds = time.perf_counter() - begin
    _check(b"".join(seen).decode())
    return LINES / seconds


def _check(text: str) -> None:
    if text != _EXPECTED:
        got = text.splitlines()
        raise AssertionError(f"not the same text: {len(got)} lines, {got[:3]} … {got[-3:]}")
