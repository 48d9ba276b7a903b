"""Process throughput: 2,000 `core.system` of `/bin/true`, from the first push to the last result.

Set against a loop in C (`spawn_loop.c`) that has four at once.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bench.bench_node import BenchNode, bench_node
from tests.bench.pairs import Row, Target, in_turn

COUNT = 2_000
AT_ONCE = 4
PROGRAM = "/bin/true"
_WARM_UP = 200
_SOURCE = Path(__file__).with_name("spawn_loop.c")


def measure(pairs: int) -> list[Row]:
    """Measure the figure."""
    with tempfile.TemporaryDirectory(prefix="corex-bench-") as folder, bench_node() as node:
        loop = _compile(Path(folder))
        _ours(node, _WARM_UP)
        ours, bare = in_turn(lambda: _ours(node, COUNT), lambda: _bare(loop), pairs)
    target = Target(">=", 0.8)
    return [Row("process", "jobs/s", PROGRAM, f"C loop, {AT_ONCE} at once", ours, bare, target)]


def _compile(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("there is no C compiler (cc) for the loop in C")
    program = folder / "spawn_loop"
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, _SOURCE], check=True)
    return program


def _ours(node: BenchNode, count: int) -> float:
    return count / node.run(node.commands(count, "core.system", {"name": PROGRAM}))


def _bare(loop: Path) -> float:
    command = [str(loop), str(COUNT), str(AT_ONCE), PROGRAM]
    return COUNT / float(subprocess.check_output(command))
