"""Measure how fast corex is: `make bench`, or `make bench ARGS="builtin process --pairs 9"`.

A figure is a module beside this one with `measure(pairs)`; FIGURES names them all.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of this folder, whose modules are tests.bench.…

from tests.bench import builtin, latency, memory, output, process, submit  # noqa: E402 - found only now
from tests.bench.pairs import Row  # noqa: E402

FIGURES: dict[str, Callable[[int], list[Row]]] = {
    "builtin": builtin.measure,
    "process": process.measure,
    "latency": latency.measure,
    "output": output.measure,
    "memory": memory.measure,
    "submit": submit.measure,
}

_logger = logging.getLogger(__name__)
_HEAD = (
    "figure",
    "A",
    "B",
    "unit",
    "A (median)",
    "B (median)",
    "A / B",
    "min",
    "max",
    "target",
    "",
)


def main() -> int:
    """Measure, print the table; 1 if a figure could not be measured (or, if asked, is missed)."""
    options = _parse()
    rows: list[Row] = []
    failed: list[str] = []
    for name in options.figures or FIGURES:
        begin = time.monotonic()
        try:
            rows += FIGURES[name](options.pairs)
        except Exception:
            _logger.exception("%s could not be measured", name)
            failed.append(name)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    if rows:
        print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps([row.as_map() for row in rows], indent=1) + "\n")
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    missed = options.strict and any(not row.is_met for row in rows)
    return 1 if failed or missed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The speed figures of corex, as ratios.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--pairs", type=int, default=5, help="how often A and B take turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    unknown = set(options.figures) - FIGURES.keys()
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    return options


def _table(rows: Sequence[Row]) -> str:
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.figure,
        row.a,
        row.b,
        row.unit,
        _number(statistics.median(row.a_values)),
        _number(statistics.median(row.b_values)),
        f"{row.ratio:.2f}",
        f"{min(row.ratios):.2f}",
        f"{max(row.ratios):.2f}",
        str(row.target),
        "met" if row.is_met else "MISSED",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
