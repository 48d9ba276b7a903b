"""The fault suite in its long form: scenarios in turn, until the time is up; `make faults`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.faults.scenarios import SCENARIOS
from tests.helpers.invariants import Report
from tests.helpers.leftovers import Leftovers
from tests.helpers.scenario import play

_LEAST, _MOST = 3.0, 12.0
"""Seconds for which faults are made in one round."""


def main() -> int:
    """Run; return the exit code: 1 if anything did not hold."""
    options = _options()
    reports: list[Report] = []
    with tempfile.TemporaryDirectory(prefix="corex-faults-") as folder:
        (Path(folder) / "tmp").mkdir()
        leftovers = Leftovers(Path(folder) / "tmp")
        print(f"seed {options.seed or '(by chance)'}, {options.minutes:g} minutes", flush=True)
        deadline = time.monotonic() + options.minutes * 60
        for number, (name, seed) in enumerate(_rounds(options.seed, options.only)):
            if number and time.monotonic() >= deadline:
                break
            reports.append(_round(name, seed, Path(folder) / f"round-{number}", leftovers))
    print()
    print(_table(reports))
    return 1 if any(report.violations for report in reports) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", default="", help="a number, or SCENARIO:NUMBER for one round")
    parser.add_argument("--only", default="", help="scenarios, joined by commas")
    options = parser.parse_args()
    options.only = [name for name in options.only.split(",") if name] or list(SCENARIOS)
    unknown = [name for name in options.only if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if not options.seed:
        options.seed = str(random.SystemRandom().randrange(1 << 32))
    return options


def _rounds(seed: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """Give scenarios and seeds: one, or all in turn, in an order of chance each time."""
    name, colon, number = seed.partition(":")
    if colon:
        yield name, number
        return
    rng = random.Random(seed)
    while True:
        for name in rng.sample(names, len(names)):
            yield name, str(rng.randrange(1 << 32))


def _round(name: str, seed: str, folder: Path, leftovers: Leftovers) -> Report:
    folder.mkdir()
    began = time.monotonic()
    seconds = random.Random(f"{name}:{seed}:time").uniform(_LEAST, _MOST)
    report = play(SCENARIOS[name], seed, folder, seconds)
    report.violations += [f"left behind: {process}" for process in leftovers.processes()]
    faults = ", ".join(f"{count} {fault}" for fault, count in sorted(report.faults.items()))
    verdict = "holds" if not report.violations else f"{len(report.violations)} VIOLATIONS"
    took = time.monotonic() - began
    print(
        f"{name}:{seed}  {took:.0f} s  {report.jobs} jobs, {faults}; "
        f"{report.lost} LOST, {report.missing} missing, {report.doubles} double: {verdict}",
        flush=True,
    )
    if report.violations:
        print(report.text(), flush=True)
        for log in sorted(folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-20_000:]}", flush=True)
    return report


def _table(reports: list[Report]) -> str:
    heads = (
        "scenario",
        "rounds",
        "jobs",
        "faults",
        "LOST",
        "lost results",
        "double runs",
        "violations",
    )
    by_name: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        by_name[report.scenario].append(report)
    rows = [_row(name, by_name[name]) for name in SCENARIOS if name in by_name]
    rows.append(_row("all", reports))
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(name: str, reports: list[Report]) -> tuple[str, ...]:
    sums = (
        len(reports),
        sum(report.jobs for report in reports),
        sum(report.faults.total() for report in reports),
        sum(report.lost for report in reports),
        sum(report.missing for report in reports),
        sum(report.doubles for report in reports),
        sum(len(report.violations) for report in reports),
    )
    return (name, *(str(number) for number in sums))


if __name__ == "__main__":
    sys.exit(main())
